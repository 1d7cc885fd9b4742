//! The options of [`ContainerOptions`] as keys of a service.

use indexmap::IndexMap;

use super::decode::{Decode, Included, Map, Reader, Spanned};
use super::describe::{Field, Shape};
use super::forms::{OneOrMany, Scalar, Size};
use super::node::{Item, Node};
use super::scalars;
use crate::model::gpus;
use crate::model::options::{
    Addresses, Bytes, Capabilities, ContainerOptions, Devices, Flag, Gpus, List, Number, OptionType, Pairs, Rates, Set,
    Swap, Text, container_options,
};

/// How an option of a type is read.
trait Read: OptionType {
    /// What is written.
    type Form: Decode;

    /// Its value, checked.
    fn value(form: Self::Form, node: &Node, reader: &mut Reader) -> Self::Value;
}

/// Types whose form needs no check.
macro_rules! read {
    ($($type:ty: $form:ty, $given:ident => $value:expr;)*) => {$(
        impl Read for $type {
            type Form = $form;

            fn value($given: Self::Form, _: &Node, _: &mut Reader) -> Self::Value {
                $value
            }
        }
    )*};
}

read! {
    Flag: bool, on => on;
    Text: Scalar, text => Some(text.0);
    Number: i64, number => Some(number);
    Bytes: Size, size => Some(size.0);
    Set: Vec<Scalar>, texts => texts.into_iter().map(|text| text.0).collect();
    List: OneOrMany<String>, texts => texts.0;
    Pairs: Map<Scalar>, pairs => pairs.into_iter().map(|(name, entry)| (name, entry.value.0)).collect();
}

/// Types whose items are checked one by one.
macro_rules! read_checked {
    ($($type:ty: $form:ty, $list:ident => $items:expr, $item:ident => $is_right:expr, $what:literal;)*) => {$(
        impl Read for $type {
            type Form = $form;

            fn value($list: Self::Form, _: &Node, reader: &mut Reader) -> Self::Value {
                let items = $items;
                for $item in items.iter().filter(|$item| !$is_right) {
                    reader.error(&$item.place, format_args!("`{}` is not {}", $item.value, $what));
                }
                items.into_iter().map(|item| item.value).collect()
            }
        }
    )*};
}

read_checked! {
    Addresses: OneOrMany<Spanned<String>>, list => list.0,
        item => item.parse::<std::net::IpAddr>().is_ok(), "an IP address";
    Devices: Vec<Spanned<String>>, list => list,
        item => item.starts_with('/') && item.split(':').count() <= 3, "a device such as \"/dev/fuse\" or \"/dev/fuse:/dev/fuse:rwm\"";
    Capabilities: Vec<Spanned<String>>, list => list,
        item => !item.is_empty() && item.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "a capability such as \"NET_ADMIN\"";
}

impl Read for Gpus {
    type Form = OneOrMany<Spanned<Scalar>>;

    fn value(list: Self::Form, _: &Node, reader: &mut Reader) -> Self::Value {
        for item in &list.0 {
            if let Err(message) = gpus::Gpus::parse(&item.value.0) {
                reader.error(&item.place, message).hint =
                    Some("for example \"all\", 2 or \"driver=nvidia,device=0\"".into());
            }
        }
        list.0.into_iter().map(|item| item.value.0).collect()
    }
}

impl Read for Rates {
    type Form = Map<Size>;

    fn value(rates: Self::Form, node: &Node, reader: &mut Reader) -> Self::Value {
        for device in rates.keys().filter(|device| !device.starts_with('/')) {
            reader.error(&node.place, format_args!("`{device}` is not the path of a device such as \"/dev/sda\""));
        }
        rates.into_iter().map(|(device, rate)| (device, rate.value.0)).collect()
    }
}

impl Read for Swap {
    type Form = Scalar;

    fn value(text: Self::Form, node: &Node, reader: &mut Reader) -> Self::Value {
        if text.0 == "-1" {
            return Some(-1);
        }
        reader.check(node, scalars::size(&text.0)).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
    }
}

fn read<T: Read>(table: &IndexMap<String, Item>, key: &str, reader: &mut Reader) -> T::Value {
    let Some(Item { node, .. }) = table.get(key) else { return T::Value::default() };
    let read = |reader: &mut Reader| T::Form::decode(node, reader).map(|form| T::value(form, node, reader));
    reader.under(key, read).unwrap_or_default()
}

macro_rules! keys {
    ($($(#[doc = $about:literal])* $field:ident: $type:ident, compose $compose:literal, default $default:literal, example $example:literal;)*) => {
        impl Included for ContainerOptions {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn read(table: &IndexMap<String, Item>, reader: &mut Reader) -> Self {
                Self { $($field: read::<$type>(table, stringify!($field), reader)),* }
            }

            fn fields() -> Vec<Field> {
                vec![$(Field {
                    key: stringify!($field),
                    about: concat!($($about, "\n"),*),
                    required: false,
                    default: $default,
                    example: $example,
                    shape: shape::<$type>(),
                }),*]
            }
        }
    };
}
container_options!(keys);

fn shape<T: Read>() -> Shape {
    T::Form::shape()
}

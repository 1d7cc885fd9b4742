create table orders (id bigint generated always as identity, item text not null);

# Watches over one isolated stack for a program that can't be started a second time as its own watcher:
#   sh -c '…' janitor PROJECT ENGINE
# Says "ready", then reads. A word means that the stack must no longer be touched; the end of the input without one,
# that the program is gone: everything with the stack's label is removed.
trap '' HUP INT TERM
label="dev.taskava.project=$1"
if command -v docker >/dev/null 2>&1 && docker -H "$2" version >/dev/null 2>&1; then
    containers() { docker -H "$2" ps -aq --no-trunc --filter "label=$label"; }
    networks() { docker -H "$2" network ls -q --no-trunc --filter "label=$label"; }
    volumes() { docker -H "$2" volume ls -q --filter "label=$label"; }
    remove() {
        case $3 in
            containers) docker -H "$2" rm -fv "$4" ;;
            networks) docker -H "$2" network rm "$4" ;;
            volumes) docker -H "$2" volume rm -f "$4" ;;
        esac
    }
else
    case $2 in unix://*) socket=${2#unix://} ;; *) exit 1 ;; esac
    api() { method=$1 path=$2 && shift 2 && curl -fsS --unix-socket "$socket" -X "$method" "http://engine$path" "$@"; }
    api GET /_ping >/dev/null 2>&1 || exit 1
    list() { api GET "/$1" -G --data-urlencode "filters={\"label\":[\"$label\"]}" $3 | grep -oE "\"$2\":\"[^\"]+\"" | cut -d'"' -f4; }
    containers() { list containers/json Id '-d all=1'; }
    networks() { list networks Id; }
    volumes() { list volumes Name; }
    remove() {
        case $3 in
            containers) api DELETE "/containers/$4?force=1&v=1" ;;
            *) api DELETE "/$3/$4" ;;
        esac
    }
fi
echo ready
read -r word && exit 0
# What was asked for in the last moment may still be in the making: only several looks that find nothing are the end.
empty=0
for pause in 0 0.1 0.2 0.5 1 1 2 2 3 5 5 10 10 10; do
    sleep $pause
    found=
    for kind in containers networks volumes; do
        for one in $($kind "$1" "$2"); do
            found=1
            remove "$1" "$2" "$kind" "$one"
        done
    done >/dev/null 2>&1
    [ -n "$found" ] && empty=0 || empty=$((empty + 1))
    [ $empty -lt 6 ] || break
done

#!/usr/bin/env bash
# Mishaps that people who run studies between institutions with other programs have reported: files that
# a mail program has touched, file systems without locks, umasks, proxies that open TLS and limit what
# passes, coordinators that are not there yet. Each is told to whoever can mend it, or does no harm.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties
write_study 20
expected=$(one_job 20)
for site in a b c; do write_site $site '{folder: mail}'; done
check "all approve" approve_all
shim() { cc -shared -fPIC -o "$1.so" -x c - || echo "FAILED: shim $1"; }
# tells FILE WORDS: within 30 s.
tells() {
    for _ in $(seq 300); do grep -qF -- "$2" "$1" 2>/dev/null && return 0; sleep 0.1; done
    echo "  $1 lacks '$2':"; tail -n 5 "$1"; return 1
}
end() { kill "$@" 2>/dev/null; wait "$@" 2>/dev/null; }

# ---- by mail -------------------------------------------------------------------------------------------
mkdir mailed
by_mail() { cp study.yaml study.yaml.sig mailed; sed -i "$2" "mailed/$1"; }
approve_mailed() { exits "$1" "$GRANARY" approve mailed/study.yaml --site site-a.yaml --yes; }
by_mail study.yaml 's/$/\r/'
check "a study whose line ends were changed" approve_mailed 78
check "is told from one that was edited" says "found other line ends than those that were signed"
by_mail study.yaml '1s/^/\xef\xbb\xbf/'
check "so is one with a mark before it" approve_mailed 78
check "it is told" says "or a mark of the encoding"
by_mail study.yaml 's/rounds: 20/rounds: 21/; s/$/\r/'
check "one that was edited as well" approve_mailed 78
check "is said to be" says "the study was changed after it was signed"
by_mail study.yaml.sig 's/$/\r/'
check "a signature's line ends are of no importance" approve_mailed 0
rm mailed/study.yaml.sig
check "a study that comes alone" approve_mailed 78
check "the site is told what is to come with it" says "it comes with the study"

# ---- the machine ---------------------------------------------------------------------------------------
fresh
join a; alone=$!
for _ in $(seq 300); do [ -n "$(ls mail)" ] && break; sleep 0.1; done
# Inodes of the sockets that a process has and that listen, by /proc: state 0A of TCP.
listens() {
    local inode
    for inode in $(readlink /proc/"$1"/fd/* 2>/dev/null | sed -n 's/^socket:\[\(.*\)\]$/\1/p'); do
        awk -v inode="$inode" '$10 == inode && $4 == "0A" {print $2}' /proc/net/tcp /proc/net/tcp6
    done
}
check "a site listens on no port" equal "$(listens $alone)" ""
check "nor does a process that it has started" equal "$(pgrep -P $alone)" ""
end $alone
shim unlocked <<'C'
#include <errno.h>
int flock(int fd, int how) { (void)fd, (void)how; errno = ENOLCK; return -1; }
C
if nm -D "$GRANARY" | grep -q __asan; then
    echo "skipped: the sanitiser wants to be the first library"
else
    fresh
    LD_PRELOAD=$PWD/unlocked.so join a; alone=$!
    check "a file system without locks is told" tells join-a.log "the file system has no locks"
    check "and keeps no site away" test -d /proc/$alone
    end $alone
fi
fresh
(umask 077; exec "$GRANARY" join site-a.yaml --study study.yaml --quiet) >/dev/null 2>&1 </dev/null & alone=$!
for _ in $(seq 300); do ls mail/*.letter >/dev/null 2>&1 && break; sleep 0.1; done
check "whoever carries letters may read them, whatever the umask" equal "$(stat -c %a mail/*.letter | head -n 1)" 644
end $alone

# ---- the way to the coordinator ------------------------------------------------------------------------
# listen NAME PORT: sets port, pin and LISTENER.
listen() {
    coordinate "$1" --listen "127.0.0.1:$2"; LISTENER=$!
    tells "$1.log" "listening on port"
    port=$(sed -n 's/.*listening on port \([0-9]*\);.*/\1/p' "$1.log" | tail -n 1)
    pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' "$1.log" | tail -n 1)
}
fresh
listen early 0
end $LISTENER
for site in a b c; do write_site $site "{url: \"https://127.0.0.1:$port\", pin: \"$pin\"}"; done
join a; early=$!
check "a site says why nobody answers" tells join-a.log "connection refused (Failed to connect to 127.0.0.1 port $port"
listen later "$port"
check "and that somebody does" tells join-a.log "the coordinator answers again"
cp study.yaml study.yaml.sig mailed
sed -i 's/rounds: 20/rounds: 21/' mailed/study.yaml
"$GRANARY" study sign mailed/study.yaml --key coordinator-keys >/dev/null
"$GRANARY" approve mailed/study.yaml --site site-c.yaml --yes >/dev/null
"$GRANARY" join site-c.yaml --study mailed/study.yaml >other.log 2>&1 </dev/null & other=$!
check "a site with another version of the study is told" tells other.log "the coordinator does not know this site (404)"
check "so is the coordinator" tells later.log "another edition of the study"
end $other
join b; pids=$!
join c
# shellcheck disable=SC2086
check "all end well" ended $LISTENER $early $pids $!
check "with the model of one job" equal "$(digest)" "$expected"

# A server that opens TLS, speaks HTTP/1.0 behind itself, and lets no more than 64 KiB through.
if command -v nginx >/dev/null && command -v openssl >/dev/null; then
    sed -i 's/hidden: \[8\]/hidden: [300, 300]/; s/rounds: 20/rounds: 2/' study.yaml
    sed -i 's/hidden: \[8\]/hidden: [300, 300]/; s/rounds: 20/rounds: 2/' plain.yaml
    "$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
    check "the study of more numbers is approved" approve_all
    rm -rf plain && "$GRANARY" train plain.yaml --run plain --quiet >/dev/null 2>&1
    fresh
    listen limited 0
    openssl req -x509 -newkey rsa:2048 -nodes -keyout opens.key -out opens.crt -days 2 -subj /CN=opens \
        -addext subjectAltName=IP:127.0.0.1 2>/dev/null
    for way in 1 2 3 4 5 6 7 8 9; do
        cat >nginx.conf <<CONF
daemon off; pid $PWD/nginx.pid; error_log $PWD/nginx.err; worker_processes 1;
events {}
http {
    access_log $PWD/nginx.access; client_max_body_size 64k; client_body_buffer_size 128k; proxy_max_temp_file_size 0;
    client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3;
    uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
    server {
        listen 127.0.0.1:$((20000 + RANDOM % 10000)) ssl; ssl_protocols TLSv1.3;
        ssl_certificate $PWD/opens.crt; ssl_certificate_key $PWD/opens.key;
        location / { proxy_pass https://127.0.0.1:$port; proxy_ssl_protocols TLSv1.3; }
    }
}
CONF
        nginx -c "$PWD/nginx.conf" >/dev/null 2>&1 & opens=$!
        sleep 0.5
        kill -0 $opens 2>/dev/null && break
    done
    through=$(sed -n 's/.*listen \(.*\) ssl; .*/\1/p' nginx.conf)
    write_site a "{url: \"https://$through\", pin: \"$pin\"}"
    join a; early=$!
    check "who opens TLS is no coordinator" tells join-a.log "has another key than \`pin\` says"
    end $early
    write_site a "{url: \"https://$through\", ca: opens.crt}"
    for site in b c; do write_site $site "{url: \"https://127.0.0.1:$port\", pin: \"$pin\"}"; done
    pids=$LISTENER
    for site in a b c; do join $site; pids="$pids $!"; done
    # shellcheck disable=SC2086
    check "letters pass in parts where whole ones may not" ended $pids
    check "as an upload was too large" grep -q '" 413 ' nginx.access
    check "with the model of one job" equal "$(digest)" "$("$GRANARY" inspect --digest plain/model.h5)"
    end $opens
else
    echo "skipped: no nginx and openssl are installed; jobs/deps.sh --sites"
fi
finish

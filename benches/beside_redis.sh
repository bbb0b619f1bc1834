#!/usr/bin/env bash
# Puts and gets on three peers (N=3, R=W=2) beside a Redis master with two replicas (appendonly, everysec), both driven by `henge bench`:
# 64 connections, pipelines of 1 and 16, values of 100 bytes. Every batch of SETs is followed by WAIT 1 0, so that on both sides a write
# counts as done when two copies have it. The cells of the three stores take turns, so that whatever else the machine does meets
# all of them; each is repeated, and the median is shown.
#
# Needs: a built `target/release/henge` (or HENGE=…), redis-server, python3. Starts all of it on loopback and stops all of it at the end.
# Settings by environment: SECONDS_EACH (5), REPEATS (3), CONNECTIONS (64), PIPELINES ("1 16"), BASE_PORT (7600), KEYS (100000).
set -euo pipefail
cd "$(dirname "$0")/.."

henge=${HENGE:-target/release/henge}
seconds=${SECONDS_EACH:-5}
repeats=${REPEATS:-3}
connections=${CONNECTIONS:-64}
pipelines=${PIPELINES:-1 16}
base=${BASE_PORT:-7600}
keys=${KEYS:-100000}

[ -x "$henge" ] || { echo "$henge is not there; cargo build --release makes it" >&2; exit 2; }
command -v redis-server >/dev/null || { echo "redis-server is not there; apt-get install redis-server" >&2; exit 2; }

work=$(mktemp -d)
pids=()
stop() {
    # Only what was started here, each by its id.
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

wait_for_port() {
    for _ in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    echo "nothing listens on port $1; see $work" >&2
    exit 3
}

start_henge() { # sync mode, base port
    "$henge" up --peers 3 --base-port "$2" --dir "$work/henge-$2" --sync "$1" >"$work/henge-$2.log" 2>&1 &
    pids+=($!)
    for _ in $(seq 300); do
        grep -q 'The cluster is' "$work/henge-$2.log" && return
        sleep 0.1
    done
    cat "$work/henge-$2.log" >&2
    exit 3
}

start_redis() { # port, master's port or nothing
    mkdir -p "$work/redis-$1"
    redis-server --port "$1" --bind 127.0.0.1 --dir "$work/redis-$1" --appendonly yes --appendfsync everysec --save '' \
        --repl-diskless-sync-delay 0 ${2:+--replicaof 127.0.0.1 "$2"} >"$work/redis-$1.log" 2>&1 &
    pids+=($!)
    wait_for_port "$1"
}

start_henge interval:1000 "$base"
start_henge always $((base + 20))
master=$((base + 40))
start_redis "$master"
start_redis $((base + 41)) "$master"
start_redis $((base + 42)) "$master"
for _ in $(seq 100); do
    online=$(redis-cli -p "$master" info replication | grep -c 'state=online' || true)
    [ "$online" = 2 ] && break
    sleep 0.2
done
[ "$online" = 2 ] || { echo "the replicas did not come online" >&2; exit 3; }

results="$work/results"
measure() { # store, what, pipeline, flags…
    local store=$1 what=$2 pipeline=$3
    shift 3
    # Only the first get of a store has to write the keys.
    local line
    line=$("$henge" --json "$@" --mix "$what" -c "$connections" -P "$pipeline" -k "$keys" -s 100 --seconds "$seconds" --warm-up 1)
    printf '%s\t%s\t%s\t%s\n' "$store" "$what" "$pipeline" "$line" >>"$results"
    echo "$store $what pipeline $pipeline: $(printf '%s' "$line" | python3 -c 'import json,sys; print(json.load(sys.stdin)["per_second"])')/s" >&2
}

for round in $(seq "$repeats"); do
    for pipeline in $pipelines; do
        for what in put get; do
            fill=
            if [ "$round $what" != "1 get" ]; then fill=--no-fill; fi
            measure interval "$what" "$pipeline" --peer "127.0.0.1:$((base + 1))" bench $fill
            measure redis "$what" "$pipeline" bench --redis "127.0.0.1:$master" --wait 1 $fill
            measure always "$what" "$pipeline" --peer "127.0.0.1:$((base + 21))" bench $fill
        done
    done
done

python3 - "$results" <<'PY'
import json, statistics, sys

cells = {}
for line in open(sys.argv[1]):
    store, what, pipeline, result = line.rstrip("\n").split("\t", 3)
    result = json.loads(result)
    failed = sum(result["failed"].values()) + len(result["lost"])
    cells.setdefault((what, int(pipeline)), {}).setdefault(store, []).append((result["per_second"], result[what]["p50_ms"], result[what]["p99_ms"], failed))

def median(runs, place):
    return statistics.median(run[place] for run in runs)

print(f"{'':14}{'henge interval:1000':>34}{'henge always':>34}{'redis everysec, WAIT 1':>34}{'ratios':>16}")
print(f"{'':14}" + f"{'per s':>12}{'p50 ms':>11}{'p99 ms':>11}" * 3 + f"{'int':>8}{'alw':>8}")
for (what, pipeline), stores in sorted(cells.items(), key=lambda cell: (cell[0][1], cell[0][0] != "put")):
    row = f"{what + ' P=' + str(pipeline):14}"
    for store in ("interval", "always", "redis"):
        row += f"{median(stores[store], 0):12.0f}{median(stores[store], 1):11.3f}{median(stores[store], 2):11.3f}"
    redis = median(stores["redis"], 0)
    row += "".join(f"{median(stores[store], 0) / redis:8.2f}" for store in ("interval", "always"))
    failed = {store: sum(run[3] for run in runs) for store, runs in stores.items()}
    print(row + (f"   failed: {failed}" if any(failed.values()) else ""))
PY

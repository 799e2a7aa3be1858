#!/bin/sh
# Claims a work of $AMEIDE_QUEUE (a full name), runs ./verify of its commit, and records how that ended; then the next.
# Needs AMEIDE_ADDRESS, AMEIDE_TOKEN, and curl, git, jq: `apt-get install curl git jq`. What it runs is in no sandbox.
work=$(mktemp -d) rpc=/ameide_core_proto.transformation.work.v1.WorkCommandService stop='' deadline=0
trap 'rm -rf "$work"' EXIT; trap 'stop=yes' TERM INT; echo "header = \"authorization: Bearer $AMEIDE_TOKEN\"" >"$work/k"
door() { seconds=$1 path=$2; shift 2; curl -sSK "$work/k" --max-time "$seconds" "$@" "$AMEIDE_ADDRESS$path"; }
say() { door "$1" "$rpc/$2" -H 'content-type: application/json' -d "$3"; }
of() { printf %s "$1" | jq -r "$2"; }; now() { cut -d. -f1 /proc/uptime; } # a clock that nobody sets
code() { of "$1" '.code // "ok"'; } # what the Domain refuses with; empty without an answer
held() { left=$((deadline - $(now))); [ "$left" -gt 0 ]; } # whether the lease lasts: it ends a second early, not late
try() { # the same again until it is answered, as long as the lease lasts
  while held; do answer=$("$1" "$left" "$2" "$3" "$4"); case $(code "$answer") in
    ok) return ;; '' | unavailable | internal) sleep 1 ;; *) break ;; esac; done; false; }
beat() { # extends the lease; fails when it is lost
  held || return 1 # nobody answered in time: the work is somebody else's by now
  sent=$(now); said=$(say "$left" RecordWorkHeartbeat "$pair")
  case $(code "$said") in ok) ;; '' | unavailable | internal) return 0 ;; *) return 1 ;; esac # the rest is FENCED
  last=$sent deadline=$((sent + $(of "$said" '.leaseSeconds // 0') - 1)) cancel=$(of "$said" '.cancelRequested // ""')
}
while [ ! "$stop" ]; do
  claim=$(cat /proc/sys/kernel/random/uuid) nap=1 cancel='' lost='' # the same claim until it is answered
  until sent=$(now); run=$(say 30 PollWork '{"queues":["'$AMEIDE_QUEUE'"],"claimId":"'$claim'","waitSeconds":5}') &&
    [ "$(of "$run" '.answer // ""')" ]; do [ ! "$stop" ] || exit 0; sleep $nap; nap=$((nap < 30 ? nap * 2 : 30)); done
  [ "$(of "$run" .answer)" = CLAIM_ANSWER_RUN ] || continue
  lease=$(of "$run" .leaseSeconds) last=$sent; deadline=$((sent + lease - 1)) third=$(((lease + 2) / 3))
  pair=$(of "$run" "{workRequestId: .work.workRequestId, attempt, claimId: \"$claim\"}"); rm -rf "$work/tree"
  url=$(of "$run" .work.repoUrl) sha=$(of "$run" .work.commitSha) # both come from whoever asked: arguments, never code
  setsid env -i PATH="$PATH" HOME="$work/tree" sh -c 'git clone -q -- "$0" "$1" && cd "$1" && git checkout -q "$2" -- ||
    exit 125; exec ./verify' "$url" "$work/tree" "$sha" >"$work/log" 2>&1 & child=$!
  while kill -0 $child 2>/dev/null && [ ! "$stop$lost$cancel" ]; do
    sleep 1; [ $(($(now) - last)) -lt $third ] || beat || lost=yes; done
  kill -s KILL -- -$child 2>/dev/null; wait $child; exit=$? how=FAILURE why=4; [ "$lost" ] || beat || lost=yes
  [ ! "$lost" ] || continue # nothing is written for a claim that is not ours
  [ ! "$stop" ] || { try say ReleaseWork "$pair"; break; }
  case $cancel:$exit in true:*) how=CANCELED why=0 ;; :0) how=SUCCESS why=0 ;; :125) why=2 ;; esac # 2: CHECKOUT_FAILED
  try say OpenEvidenceUpload "$pair" && try door "$(of "$answer" .path)log" -T "$work/log" || continue
  try say RecordWorkOutcome "$(jq -nc --argjson pair "$pair" --argjson log "$answer" '$pair + {
    outcome: "WORK_OUTCOME_'$how'", result: {summary: "verify exited '$exit'", exitCode: '$exit', failureCode: '$why'},
    evidence: ($pair + {evidenceBundleId: "'$claim'", toolName: "verify", artifacts: [$log]} | del(.claimId))}')"
done

#!/usr/bin/env bash
# From nothing to a search with curl alone: bucket, collection, objects, batch, submit, wait, search.
# Usage: STRATA_KEY=key ./submit.sh [ENDPOINT]      Needs bash, curl, and python3 to read JSON.
set -euo pipefail

endpoint="${1:-http://127.0.0.1:8000/graphql}"
operations="$(cd "$(dirname "${BASH_SOURCE[0]}")/../operations" && pwd)"
name="curl-$(date +%s)-$$"
: "${STRATA_KEY:?set STRATA_KEY to an API key; make up leaves one in .strata/demo.json}"

# ask OPERATION VARIABLES: run a file of ../operations; print the one field of the answer.
ask() {
  request "$@" |
    curl --silent --show-error "$endpoint" \
      --header "Authorization: Bearer $STRATA_KEY" \
      --header "Content-Type: application/json" \
      --data-binary @- |
    answer
}

request() {
  python3 -c 'import json, sys
print(json.dumps({"query": open(sys.argv[1]).read(), "variables": json.loads(sys.argv[2])}))' \
    "$operations/$1.graphql" "$2"
}

# answer: print the field on stdin; or complain of its errors, with what to do, and fail.
answer() {
  python3 -c 'import json, sys
text = sys.stdin.read()
try:
    reply = json.loads(text)
except ValueError:
    sys.exit("refused: " + (text[:200] or "no answer"))
field = next(iter((reply.get("data") or {}).values()), None) or {}
errors = reply.get("errors", []) + field.get("userErrors", [])
if errors:
    sys.exit("\n".join("refused: %s %s" % (e["message"], e.get("hint") or "") for e in errors))
print(json.dumps(field))'
}

# pick PATH: print one value of the JSON on stdin, such as batch.id or hits.0.score.
pick() {
  python3 -c 'import json, sys
text = sys.stdin.read() or sys.exit(1)  # what stood before has complained
value = json.loads(text)
for step in sys.argv[1].split("."):
    value = value[int(step)] if isinstance(value, list) else value[step]
print(value if isinstance(value, str) else json.dumps(value))' "$1"
}

echo "1. A bucket whose objects have a text, and a collection that embeds it"
bucket=$(ask createBucket "{\"name\": \"$name\", \"fields\": [
  {\"name\": \"content\", \"type\": \"TEXT\", \"required\": true},
  {\"name\": \"title\", \"type\": \"STRING\"}]}" | pick bucket.id)
collection=$(ask createCollection "{\"input\": {
  \"name\": \"$name\",
  \"source\": {\"bucketId\": \"$bucket\"},
  \"extractor\": {\"name\": \"text\"},
  \"inputMappings\": [{\"input\": \"text\", \"path\": \"content\"}],
  \"passthrough\": [{\"path\": \"title\", \"target\": \"title\"}]}}" | pick collection.id)
echo "   $bucket, $collection"

echo "2. Three objects"
objects=$(ask createObjects "{\"bucketId\": \"$bucket\", \"objects\": [
  {\"key\": \"tides\", \"metadata\": {\"title\": \"Tides\"}, \"blobs\": [{\"property\": \"content\",
    \"text\": \"The sea rises and falls twice a day, drawn by the moon and the sun.\"}]},
  {\"key\": \"bread\", \"metadata\": {\"title\": \"Bread\"}, \"blobs\": [{\"property\": \"content\",
    \"text\": \"Dough of flour and water is leavened with yeast and baked in a hot oven.\"}]},
  {\"key\": \"chess\", \"metadata\": {\"title\": \"Chess\"}, \"blobs\": [{\"property\": \"content\",
    \"text\": \"Two players move sixteen pieces each; the game ends when a king is mated.\"}]}]}")
ids=$(python3 -c 'import json, sys
print(json.dumps([row["object"]["id"] for row in json.loads(sys.argv[1])["results"]]))' "$objects")
echo "   $ids"

echo "3. A batch of them, submitted"
batch=$(ask createBatch "{\"bucketId\": \"$bucket\", \"name\": \"$name\", \"objectIds\": $ids}" |
  pick batch.id)
ask submitBatch "{\"batchId\": \"$batch\"}" >/dev/null
echo "   $batch"

echo "4. Until it ends (a client that can keep a socket open follows batchEvents instead)"
while :; do
  state=$(ask batch "{\"id\": \"$batch\"}")
  status=$(pick status <<<"$state")
  echo "   $status, $(pick progress.percent <<<"$state") %"
  case "$status" in
    QUEUED | PROCESSING | CANCELING) sleep 0.5 ;;
    *) break ;;
  esac
done
[[ "$status" == COMPLETED ]] || {
  pick errorMessage <<<"$state" >&2
  exit 1
}

echo "5. What makes the water come and go?"
hits=$(ask searchDocuments "{\"collectionId\": \"$collection\", \"first\": 1,
  \"query\": {\"text\": \"What makes the water come and go?\"}}")
echo "   $(pick hits.0.document.fields.title <<<"$hits"):" \
  "$(pick hits.0.document.fields.text <<<"$hits") (score $(pick hits.0.score <<<"$hits"))"

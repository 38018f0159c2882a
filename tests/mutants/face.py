"""Defences of the API's face and of what others may write into Redis."""

from typing import Final

from tests.mutants.mutant import Edit, Mutant

_MESSAGES: Final = "tests/workers/test_messages.py"

FACE: Final = (
    Mutant(
        "each watcher of the list of batches looks for itself",
        (
            Edit(
                "graphql_api/batches/watching.py",
                'looks.of(("batches", self._scope.namespace_id))',
                "looks.of(object())",
            ),
        ),
        (
            "tests/graphql_api/test_database_calls.py"
            "::test_a_change_of_the_list_costs_as_many_calls_whoever_watches",
        ),
    ),
    Mutant(
        "new fields are those that a collection had not when its block was claimed",
        (
            Edit(
                "engine/writer.py",
                "unseen(collection.observed, ",
                "unseen(work.collection.observed, ",
            ),
        ),
        (
            "tests/engine/test_schema_changed.py"
            "::test_blocks_that_commit_at_once_tell_of_a_field_once",
        ),
    ),
    Mutant(
        "messages are run as they come",
        (Edit("workers/messages.py", " and self._admits(queue_name, one)\n", "\n"),),
        (
            f"{_MESSAGES}::test_s48_a_crafted_message_is_dead_lettered_and_stops_nobody",
            f"{_MESSAGES}::test_s48_a_huge_message_is_dropped",
        ),
    ),
    Mutant(
        "a key is looked for by its id",
        (
            Edit(
                "models/api_key.py",
                'find_one({"secret_sha256": _hash(secret)})',
                'find_one({"_id": key_id})',
            ),
        ),
        (
            "tests/graphql_api/test_key_timing.py"
            "::test_s45_the_time_of_a_refusal_does_not_tell_whether_there_is_such_a_key",
        ),
    ),
    Mutant(
        "a namespace's log is kept as long as the operator's",
        (
            Edit(
                "models/namespace.py",
                "return longest if self.event_days is None else min(self.event_days, longest)",
                "return longest",
            ),
        ),
        (
            "tests/graphql_api/test_retention.py"
            "::test_a_namespace_may_keep_its_log_for_a_shorter_time",
        ),
    ),
)

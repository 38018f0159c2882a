"""Defences of what steers batches: holds, turns, quotas, deadlines."""

from typing import Final

from tests.mutants.mutant import Edit, Mutant

_HOLDING: Final = "tests/models/test_holding.py"
_TURNS: Final = "tests/models/test_turns.py"
_STEERING: Final = "tests/workers/test_steering.py"
_SLOTS: Final = "tests/engine/test_slots.py"
_QUOTAS: Final = "tests/workers/test_quotas.py"
_DEADLINES: Final = "tests/workers/test_deadlines.py"

_HOLDS: Final = (
    Mutant(
        "a claim takes blocks of a paused batch",
        (Edit("models/block.py", '            "held": {"$ne": True},\n', ""),),
        (
            f"{_HOLDING}::test_no_block_of_a_held_batch_is_claimed_and_the_one_in_work_commits",
            f"{_STEERING}::test_a_pause_lets_the_block_in_work_commit_and_begins_no_other",
        ),
    ),
    Mutant(
        "a paused batch is handed over",
        (Edit("models/batch.py", '            "hold": None,\n', ""),),
        (f"{_HOLDING}::test_a_held_batch_is_due_for_nobody_and_claimed_by_nobody",),
    ),
    Mutant(
        "rows put off by a paused batch are not held",
        (Edit("engine/writer.py", "held=await is_on_hold(session, work.batch.id)", "held=False"),),
        (
            "tests/engine/test_put_off.py"
            "::test_rows_put_off_by_a_block_of_a_paused_batch_wait_for_the_resume",
        ),
    ),
    Mutant(
        "a run keeps a paused batch that nothing of is in work",
        (Edit("engine/runner.py", " or await self._put_down()", ""),),
        (f"{_STEERING}::test_a_pause_lets_the_block_in_work_commit_and_begins_no_other",),
    ),
)

_STOPS: Final = (
    Mutant(
        "a safe cancel waits for a run that died",
        (
            Edit(
                "models/holding.py",
                '"$expr": {"$lt": ["$lease_until", "$$NOW"]},',
                '"$expr": False,',
            ),
        ),
        (f"{_STEERING}::test_a_safe_cancel_does_not_wait_for_a_run_that_died",),
    ),
    Mutant(
        "a batch that is being stopped is never looked at",
        (
            Edit(
                "models/batch.py", '            {"status": live, "hold": str(Hold.STOPPING)},\n', ""
            ),
        ),
        (f"{_STEERING}::test_a_safe_cancel_does_not_wait_for_a_run_that_died",),
    ),
)

_ORDER: Final = (
    Mutant(
        "a priority counts more than any wait",
        (Edit("engine/slots.py", "loop.time() - priority * PRIORITY_SECONDS", "float(-priority)"),),
        (f"{_SLOTS}::test_the_least_urgent_is_overtaken_for_so_long_and_no_longer",),
    ),
    Mutant(
        "a run under way does not hear of another priority",
        (Edit("engine/runner.py", "held.priority != self._priority", "False"),),
        (f"{_SLOTS}::test_the_blocks_of_the_more_urgent_batch_begin_first",),
    ),
    Mutant(
        "a namespace with many batches is looked at before one with few",
        (
            Edit(
                "models/batch.py",
                '{"$sort": {"place": 1, "turn_at": 1, "_id": 1}}',
                '{"$sort": {"turn_at": 1, "_id": 1}}',
            ),
        ),
        (f"{_TURNS}::test_each_namespaces_first_comes_before_any_ones_second",),
    ),
)

_LIMITS: Final = (
    Mutant(
        "two conductors count blocks in flight side by side",
        (
            Edit(
                "engine/runner.py",
                '            await pass_gate(session, self._batch.namespace_id, "blocks")\n',
                "",
            ),
        ),
        (
            "tests/engine/test_quotas.py"
            "::test_two_conductors_that_claim_at_once_keep_within_the_quota",
        ),
    ),
    Mutant(
        "two workers count batches under way side by side",
        (
            Edit(
                "workers/batches.py",
                '            await pass_gate(session, batch.namespace_id, "batches")\n',
                "",
            ),
        ),
        (f"{_QUOTAS}::test_a_turn_that_changes_between_look_and_claim_makes_no_second_room",),
    ),
    Mutant(
        "two submits count live batches side by side",
        (
            Edit(
                "workers/admission.py",
                'await pass_gate(session, namespace_id, "live")',
                "pass",
            ),
        ),
        (
            f"{_QUOTAS}"
            "::test_submits_at_once_keep_within_the_live_batches_and_the_last_stays_a_draft",
        ),
    ),
    Mutant(
        "a batch is resumed while another takes its room",
        (
            Edit(
                "workers/steering.py",
                '            await pass_gate(session, scope.namespace_id, "batches")\n',
                "            pass\n",
            ),
        ),
        (f"{_QUOTAS}::test_a_batch_is_not_resumed_behind_the_back_of_one_that_takes_its_room",),
    ),
    Mutant(
        "a namespace that is full takes more",
        (Edit("workers/admission.py", "others >= quotas.live_batches", "False"),),
        (
            f"{_QUOTAS}"
            "::test_submits_at_once_keep_within_the_live_batches_and_the_last_stays_a_draft",
            "tests/workers/test_overload.py"
            "::test_s24_ten_times_the_load_on_slow_stores_is_refused_bounded_and_drained",
        ),
    ),
    Mutant(
        "batches that are under way wait for one another",
        (Edit("models/quotas.py", 'row["status"] != BatchStatus.QUEUED', "False"),),
        (f"{_QUOTAS}::test_batches_whose_engine_died_do_not_wait_for_one_another",),
    ),
    Mutant(
        "the sweep does not look for late batches",
        (Edit("models/batch.py", '            {"status": live, **OVERDUE},\n', ""),),
        (f"{_DEADLINES}::test_a_batch_that_is_late_fails_and_what_is_in_work_cannot_commit",),
    ),
    Mutant(
        "blocks of a batch that failed for good may commit",
        (
            Edit(
                "workers/transitions.py",
                "            await cancel_blocks(session, batch_id, reason=of_blocks)\n",
                "",
            ),
        ),
        (f"{_DEADLINES}::test_a_batch_that_is_late_fails_and_what_is_in_work_cannot_commit",),
    ),
)

STEERING: Final = (*_HOLDS, *_STOPS, *_ORDER, *_LIMITS)

"""Every defence that is taken out, in the order of a batch's life, then of what surrounds it."""

from typing import Final

from tests.mutants.face import FACE
from tests.mutants.mutant import Edit, Mutant
from tests.mutants.steering import STEERING

_BLOCK: Final = "tests/models/test_block.py"
_RUNNER: Final = "tests/engine/test_runner.py"
_FENCING: Final = "tests/workers/test_fencing.py"
_REPLACED: Final = "tests/engine/test_replaced_head.py"
_POINTS: Final = "tests/models/test_vectors.py"
_ARTIFACTS: Final = "tests/models/test_artifacts.py"
_DELIVERIES: Final = "tests/workers/test_deliveries.py"
_EVENTS: Final = "tests/workers/test_events.py"
_EGRESS: Final = "tests/models/test_egress.py"
_IDEMPOTENCY: Final = "tests/graphql_api/test_idempotency.py"
_CACHES: Final = "tests/workers/test_caches.py"
_KEYS: Final = "tests/models/test_api_key.py"
_FAILPOINTS: Final = "tests/failpoints/test_failpoints.py::test_s6_a_process_ends_once"
_HEALING: Final = "tests/workers/test_healing.py"
_ORPHANS: Final = "tests/workers/test_orphans.py"
# With one of its harms: without a healer each takes as long as the test is patient.
_HARMED: Final = f"{_HEALING}::test_the_sweep_alone_ends_a_batch_that_was_harmed"

_BLOCKS: Final = (
    Mutant(
        "a claim takes a block before it is due",
        (
            Edit(
                "models/block.py",
                '"$expr": {"$lte": ["$not_before", "$$NOW"]}},',
                "},",
            ),
        ),
        (f"{_BLOCK}::test_a_released_block_waits_until_it_is_due",),
    ),
    Mutant(
        "an attempt is counted when it ends",
        (
            Edit("models/block.py", '"attempts": {"$add": ["$attempts", 1]},', ""),
            Edit(
                "models/block.py",
                '{"$set": {"status": str(to), "owner": None, "finished_at": now(), **values}},',
                '{"$set": {"status": str(to), "owner": None, "finished_at": now(), **values},'
                ' "$inc": {"attempts": 1}},',
            ),
        ),
        (
            f"{_BLOCK}::test_the_attempt_is_counted_before_the_work_begins",
            f"{_BLOCK}::test_a_worker_that_always_dies_never_gets_more_than_the_attempts",
        ),
    ),
    Mutant(
        "a lease is renewed by a timer",
        (
            Edit(
                "engine/runner.py",
                "still = 0 if clock.moved() else still + 1",
                "still = 0",
            ),
        ),
        (f"{_RUNNER}::test_s5_a_silent_extractor_loses_its_lease",),
    ),
    Mutant(
        "a block is finished under any epoch",
        (
            Edit(
                "models/block.py",
                '{**_held(block), "status": {"$in": block_origins(to)}},',
                '{"_id": block.id, "status": {"$in": block_origins(to)}},',
            ),
        ),
        (
            f"{_BLOCK}::test_a_lease_that_ran_out_passes_on_under_the_next_epoch",
            f"{_BLOCK}::test_a_claim_and_a_commit_of_a_lapsed_block_have_one_winner",
        ),
    ),
    Mutant(
        "documents are written though the block is another's",
        (
            Edit(
                "engine/writer.py",
                "    if not await finish_block(session, work.block, BlockStatus.DONE, values):\n"
                "        raise _stale(work.block)\n",
                "    await finish_block(session, work.block, BlockStatus.DONE, values)\n",
            ),
        ),
        (f"{_FENCING}::test_s9_a_stale_run_is_refused_in_its_very_last_step",),
    ),
    Mutant(
        "a block is anybody's who once had it",
        (
            Edit(
                "models/block.py",
                'return {"_id": block.id, "epoch": block.epoch, "status": str(BlockStatus.LEASED)}',
                'return {"_id": block.id}',
            ),
        ),
        (f"{_REPLACED}::test_s9_the_job_of_a_replaced_head_ends_later_and_is_refused",),
    ),
    Mutant(
        "points are written under any epoch",
        (
            Edit(
                "models/vectors.py",
                '{"batch": batch, "update_filter": unless}',
                '{"batch": batch}',
            ),
        ),
        (f"{_POINTS}::test_s23_a_stale_epoch_changes_no_point_of_its_block",),
    ),
    Mutant(
        "points count before Qdrant has written them",
        (Edit("models/vectors.py", "/points?wait=true", "/points?wait=false"),),
        (f"{_POINTS}::test_s20_points_count_when_they_are_written_and_not_when_accepted",),
    ),
    Mutant(
        "an artifact may be written over",
        (Edit("models/artifacts.py", 'IfNoneMatch="*",', ""),),
        (f"{_ARTIFACTS}::test_s21_other_bytes_under_the_same_key_are_refused_and_change_nothing",),
    ),
    Mutant(
        "an artifact is read without a look at its hash",
        (
            Edit(
                "models/artifacts.py",
                "if await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest()) != sha256:",
                "if False:",
            ),
        ),
        (f"{_ARTIFACTS}::test_s22_bytes_that_changed_behind_our_back_are_not_returned",),
    ),
    Mutant(
        "blocks of a canceled batch keep their epoch",
        (Edit("models/block.py", '"$inc": {"epoch": 1},', ""),),
        (f"{_BLOCK}::test_a_cancel_ends_every_live_block_and_fences_those_at_work",),
    ),
)

_BATCHES: Final = (
    Mutant(
        "objects added while a batch is submitted are left behind",
        (
            Edit(
                "workers/submissions.py",
                'unchanged = {"members_revision": batch.members_revision}',
                "unchanged: dict[str, int] = {}",
            ),
        ),
        (
            "tests/workers/test_submissions.py"
            "::test_objects_added_while_rows_are_written_are_part_of_the_batch",
        ),
    ),
    Mutant(
        "a batch whose doorbell was lost is not looked at",
        (Edit("workers/sweeps.py", "for batch_id in due:", "for batch_id in due[:0]:"),),
        ("tests/workers/test_sweeps.py::test_s7_the_sweep_alone_finishes_a_batch",),
    ),
    Mutant(
        "a batch whose run died is not handed over again",
        (
            Edit(
                "models/batch.py",
                '{"status": live, "hold": None,',
                '{"status": str(BatchStatus.QUEUED), "hold": None,',
            ),
        ),
        ("tests/workers/test_sweeps.py::test_s10_a_batch_is_handed_over_again_when_its_run_died",),
    ),
    Mutant(
        "a batch ends without a look at its counts",
        (
            Edit(
                "workers/batches.py",
                "if live or written != counts.documents_written"
                " or counts.rows_settled != counts.rows_in:",
                "if live:",
            ),
        ),
        ("tests/workers/test_sweeps.py::test_a_batch_whose_counts_do_not_add_up_fails",),
    ),
)

_OUTBOX: Final = (
    Mutant(
        "an event is written beside the change that it tells of",
        (
            Edit(
                "models/events.py",
                "await Event.get_pymongo_collection().insert_one(event.to_mongo(), session=session)",
                "await Event.get_pymongo_collection().insert_one(event.to_mongo())",
            ),
        ),
        (f"{_EVENTS}::test_a_change_that_comes_to_nothing_leaves_no_event",),
    ),
    Mutant(
        "webhooks are told past the outbox",
        (
            Edit(
                "workers/events.py",
                "return entries, await enqueue_deliveries(session, namespace_id, entries)",
                "return entries, set()",
            ),
            Edit(
                "workers/events.py",
                "        await stores.bus.announce_placed(namespace_id, entries[-1].position)\n",
                "        await stores.bus.announce_placed(namespace_id, entries[-1].position)\n"
                "        webhook_ids = await stores.database.transaction(\n"
                "            lambda session: enqueue_deliveries(session, namespace_id, entries)\n"
                "        )\n",
            ),
        ),
        (
            f"{_DELIVERIES}::test_s7_a_publisher_that_dies_leaves_no_webhook_untold",
            f"{_FAILPOINTS}[run-log.placed]",
        ),
    ),
    Mutant(
        "what no ring announced is not published",
        (
            Edit(
                "workers/outbox.py",
                "        await publish_all(stores, readers)\n",
                "        pass\n",
            ),
        ),
        (f"{_EVENTS}::test_the_sweep_publishes_what_no_ring_announced",),
    ),
)

_TASKS: Final = (
    Mutant(
        "an import gives its file away before its end is written down",
        (
            Edit(
                "workers/tasks.py",
                "        await JOBS[run.task.type](run)\n",
                "        await JOBS[run.task.type](run)\n"
                "        if run.at_end is not None:\n"
                "            await run.stores.database.transaction(run.at_end)\n",
            ),
        ),
        (f"{_FAILPOINTS}[import-task.done]",),
    ),
    Mutant(
        "what was announced to be removed from a log is never removed after a crash",
        (Edit("models/event_log.py", "if until <= log.removed:", "if until <= log.trimmed:"),),
        (f"{_FAILPOINTS}[trim-log.trim_told]",),
    ),
)

_WEBHOOKS: Final = (
    Mutant(
        "every request is signed alike",
        (
            Edit(
                "workers/deliveries.py",
                'hmac.digest(base64.b64decode(one.removeprefix(SECRET_PREFIX)), content, "sha256")',
                "bytes(32)",
            ),
        ),
        (
            f"{_DELIVERIES}::test_a_batch_is_told_of_in_signed_requests",
            f"{_DELIVERIES}"
            "::test_s38_both_secrets_sign_during_the_overlap_and_the_new_one_after_it",
        ),
    ),
    Mutant(
        "a signature says nothing of the time",
        (
            Edit(
                "workers/deliveries.py",
                'content = f"{event_id}.{timestamp}.".encode() + body',
                'content = f"{event_id}.".encode() + body',
            ),
        ),
        (f"{_DELIVERIES}::test_s38_signs_the_time_in_utc_and_exactly_what_is_sent",),
    ),
    Mutant(
        "an old secret signs for ever",
        (
            Edit(
                "models/webhook.py",
                "for one in self.secrets if one.live]",
                "for one in self.secrets]",
            ),
        ),
        (f"{_DELIVERIES}::test_s38_both_secrets_sign_during_the_overlap_and_the_new_one_after_it",),
    ),
    Mutant(
        "each attempt has an id of its own",
        (
            Edit(
                "workers/deliveries.py",
                '"webhook-id": delivery.event_id,',
                '"webhook-id": new_id("evt"),',
            ),
        ),
        (
            f"{_DELIVERIES}"
            "::test_s37_a_sender_killed_before_it_wrote_the_outcome_sends_the_same_again",
        ),
    ),
    Mutant(
        "a receiver may ask for any time",
        (
            Edit(
                "workers/deliveries.py",
                "float(min(int(text[:12]), MAX_RETRY_AFTER))",
                "float(int(text[:12]))",
            ),
        ),
        (f"{_DELIVERIES}::test_s36_retry_after_is_heeded_within_bounds",),
    ),
    Mutant(
        "the example of a receiver takes any signature",
        (
            Edit(
                "frontend_examples/python/receive_webhooks.py",
                'if version == "v1" and any(_same(digest, encoded) for digest in wanted):',
                'if version == "v1":',
            ),
        ),
        (
            "tests/frontend_examples/test_receive_webhooks.py"
            "::test_prints_each_event_once_and_refuses_what_is_not_signed",
        ),
    ),
)

_OUTSIDE: Final = (
    Mutant(
        "a name is judged once and connected to later",
        (
            Edit(
                "models/egress.py",
                "addresses = await self._rules.require_public(host, port)",
                "addresses = [host]",
            ),
        ),
        (
            f"{_EGRESS}"
            "::test_s41_a_name_that_leads_elsewhere_at_the_second_look_is_not_connected_to",
        ),
    ),
    Mutant(
        "reads within a namespace see all of them",
        (
            Edit(
                "models/scope.py",
                'return {**(match or {}), "namespace_id": self.namespace_id}',
                "return {**(match or {})}",
            ),
        ),
        (
            "tests/models/test_scope.py::test_every_way_of_reading_is_blind_to_other_namespaces",
            "tests/models/test_scope.py::test_a_filter_cannot_open_another_namespace",
        ),
    ),
    Mutant(
        "a key opens with any secret",
        (
            Edit(
                "models/api_key.py",
                "hmac.compare_digest(self.secret_sha256, _hash(secret)) and self.usable",
                "self.usable",
            ),
        ),
        (f"{_KEYS}::test_a_key_admits_its_own_secret_alone",),
    ),
    Mutant(
        "secrets are compared until they differ",
        (
            Edit(
                "models/api_key.py",
                "hmac.compare_digest(self.secret_sha256, _hash(secret)) and self.usable",
                "self.secret_sha256 == _hash(secret) and self.usable",
            ),
        ),
        (f"{_KEYS}::test_the_secret_is_compared_in_constant_time_whatever_the_key_is",),
    ),
    Mutant(
        "a request under an idempotency key is one of many",
        (
            Edit(
                "models/idempotency.py",
                "id=request_id(owner=owner, operation=operation, key=key),",
                'id=request_id(owner=owner, operation=operation, key=f"{key}{moment.timestamp()}"),',
            ),
        ),
        (
            f"{_IDEMPOTENCY}::test_s31_a_hundred_calls_with_one_key_make_one_batch",
            f"{_FAILPOINTS}[run-request.settled]",
        ),
    ),
    Mutant(
        "a lapsed holder of an idempotency key settles it all the same",
        (
            Edit(
                "models/idempotency.py",
                '{"_id": self.id, "epoch": self.epoch, "state": str(ClaimState.RUNNING)},',
                '{"_id": self.id},',
            ),
        ),
        (f"{_IDEMPOTENCY}::test_the_late_effect_of_a_lapsed_holder_is_undone",),
    ),
    Mutant(
        "an index signature outlives the writes to its collection",
        (
            Edit(
                "models/collection.py",
                'f"{self.id}:{self.revision}".encode()',
                "self.id.encode()",
            ),
        ),
        (
            f"{_CACHES}::test_an_answer_is_given_again_until_its_collection_changes",
            f"{_CACHES}::test_no_answer_is_older_than_an_acknowledged_write",
        ),
    ),
    Mutant(
        "an answer is kept though a write overtook it",
        (Edit("workers/caches.py", "if await self._still(ids, signature):", "if True:"),),
        (f"{_CACHES}::test_an_answer_that_a_write_overtook_is_not_kept",),
    ),
)

_TIDIES: Final = (
    Mutant(
        "an output that counts is taken for an orphan",
        (Edit("workers/orphans.py", "if key != counts:", "if True:"),),
        (f"{_ORPHANS}::test_files_of_lost_attempts_go_and_what_is_referred_to_stays",),
    ),
    Mutant(
        "files are orphans while an attempt may be under way",
        (Edit("workers/orphans.py", ', "finished_at": {"$lt": before}}', "}"),),
        (f"{_ORPHANS}::test_a_batch_that_ended_today_is_left_alone",),
    ),
    Mutant(
        "a batch that was retried is not tidied again",
        (Edit("workers/retries.py", '                "tidied": False,\n', ""),),
        (f"{_ORPHANS}::test_each_batch_is_looked_at_once_and_again_when_it_was_retried",),
    ),
)

_HEALS: Final = (
    Mutant(
        "no sweep looks into batches that nothing happens to",
        (Edit("workers/sweeps.py", "    heal_quiet_batches,\n", ""),),
        (f"{_HARMED}[counts_one_too_many]",),
    ),
    Mutant(
        "a batch whose counter came to zero too early has failed",
        (
            Edit(
                "workers/batches.py",
                "if _blocks(sums, *BLOCK_LIVE) and await heal_batch(stores, batch.id):",
                "if False:",
            ),
        ),
        (f"{_HEALING}::test_an_end_that_came_too_early_is_no_failure",),
    ),
    Mutant(
        "a waiting block is not asked what became of those that it waits for",
        (Edit("models/healing.py", "    await mending.settle_readers()\n", ""),),
        (
            f"{_HEALING}::test_what_reads_a_failed_block_is_canceled_with_all_below",
            f"{_HEALING}::test_a_block_that_still_waits_for_another_waits_on",
        ),
    ),
    *(
        Mutant(
            f"a step of mending is left out: {step}",
            (Edit("models/healing.py", f"    await mending.{step}\n", ""),),
            (f"{_HARMED}[{harm}]",),
        )
        for step, harm in (
            ("mend_holds()", "is_held_by_no_hold"),
            ("end_far_leases(far_seconds)", "a_block_is_leased_for_ages"),
            ("recount()", "counts_one_too_many"),
            ("give_up_unclaimed(unclaimed_seconds)", "nobody_claims"),
        )
    ),
    Mutant(
        "every worker looks into a quiet batch at every sweep",
        (Edit("models/healing.py", '{"$lt": [looked_into, limit]}', "True"),),
        (f"{_HEALING}::test_one_of_many_workers_looks_into_a_quiet_batch",),
    ),
)

MUTANTS: Final = (
    *_BLOCKS, *_BATCHES, *_OUTBOX, *_TASKS, *_WEBHOOKS, *_OUTSIDE, *_TIDIES, *_HEALS, *STEERING,
    *FACE,
)  # fmt: skip

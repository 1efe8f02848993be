#include "tests/simulation/mutations.h"

#include <iostream>

#include "absl/strings/str_format.h"
#include "base/mutation.h"
#include "tests/simulation/simulation.h"

namespace tollgate::simulation {

const std::vector<MutationCase>& AllMutations() {
  static const auto* const kAll = new std::vector<MutationCase>{
      {"r1_from_pong", "R1", "validator/core/follower.cc",
       "the lease runs from the Pong's receipt"},
      {"r1_no_drift", "R1", "validator/core/follower.cc", "nothing is taken off for drift"},
      {"r1_wall_clock_ignored", "R1", "validator/core/edge_clock.cc",
       "local clocks that disagree do not end a lease"},
      {"r2_welcome_moves", "R2", "validator/core/follower.cc",
       "a Welcome moves the applied revision"},
      {"r2_welcome_grants", "R2", "validator/core/follower.cc", "a Welcome grants a lease"},
      {"r3_hello_ends_twin", "R3", "tests/simulation/bent_ledger.h",
       "a Hello ends other sessions of its id"},
      {"r3_closed_stream_ends", "R3", "service/feed/ledger/lease_book.cc",
       "a closed stream ends its session"},
      {"r3_not_the_longest", "R3", "service/feed/ledger/lease_book.cc",
       "a newer grant shortens a life"},
      {"r4_open_after_goodbye", "R4", "validator/core/follower.cc", "admits on after its Goodbye"},
      {"r4_any_caller", "R4", "service/feed/follower_stream_state.cc",
       "a Hello of another caller is let in as the session"},
      {"r5_lowered_at_once", "R5", "service/feed/ledger/enforcement.cc",
       "the longest lease is lowered at once"},
      {"r5_hold_of_own_lease", "R5", "service/feed/ledger/enforcement.cc",
       "a start waits for its own lease, not for the longest granted"},
      {"r6_stuck_is_granted", "R6", "service/feed/ledger/enforcement.cc",
       "one that never applies is granted on"},
      {"r7_announced_before_durable", "R7", "tests/simulation/service_node.cc",
       "a commit is announced before its sync (in the simulated shell)"},
      {"r8_pong_says_head", "R8", "service/feed/follower_stream_state.cc",
       "a Pong carries the head, not what was sent"},
      {"r8_applied_at_first_part", "R8", "validator/core/follower.cc",
       "a split revision is applied at its first part"},
      {"r9_no_floor", "R9", "service/feed/ledger/enforcement.cc",
       "grants below what is declared enforced"},
      {"r9_no_floor_at_start", "R9", "service/feed/ledger/enforced_frontier.cc",
       "after a start grants below the durable head"},
      {"r10_sent_is_applied", "R10", "service/feed/follower_stream_state.cc",
       "what was sent counts as acknowledged"},
      {"r10_acknowledges_open", "R10", "validator/core/follower.cc",
       "acknowledges a revision of which a part is missing"},
      {"r11_off_by_one", "R11", "service/feed/follower_stream_state.cc",
       "a resume starts at applied + 2"},
      {"r11_future_let_in", "R11", "service/feed/follower_stream_state.cc",
       "a follower that is ahead of the store is let in"},
      {"r11_compacted_resumed", "R11", "service/feed/feed_reader.cc",
       "a resume over compacted events is no reset"},
      {"r12_need_from_applied", "R12", "validator/core/resolver.cc",
       "the need does not begin at the applied revision (nor is the question judged by it)"},
      {"r12_token_event", "R12", "validator/core/resolver.cc",
       "a token's event does not raise the need"},
      {"r12_cohort", "R12", "validator/core/resolver.cc", "a cohort does not raise the need"},
      {"r12_reset", "R12", "validator/core/resolver.cc", "a reset does not raise the need"},
      {"r12_epoch", "R12", "validator/core/resolver.cc", "an answer of another epoch is kept", 0},
      {"r12_open_revision", "R12", "validator/core/follower.h",
       "a question does not count the revision of which a part came"},
      {"r13_cached_clock", "R13", "validator/core/edge_reader.cc",
       "the clock is not read for a decision"},
      {"r13_answer_without_lease", "R13", "validator/core/validator.cc",
       "a fresh answer admits without reading the lease again"},
      {"r13_cohort_without_index", "R13", "token/cohort.cc",
       "cohorts are compared by revision alone"},
      {"r13_creation_untold", "R13", "service/records/held_token.cc", "creating is no event"},
      {"r14_waits_for_nobody", "R14", "service/feed/ledger/enforced_frontier.cc",
       "a revision is enforced at its commit"},
      {"r14_fail_open_covered", "R14", "service/feed/ledger/lease_book.cc",
       "fail-open sessions past their lease are not listed"},
      {"r14_fail_open_granted_again", "R14", "service/feed/ledger/receipt.cc",
       "a fail-open session counts as covered once it is granted again"},
      {"r15_granted_unrostered", "R15", "service/feed/ledger/enforcement.cc",
       "grants before the roster is written"},
      {"r15_late_removal", "R15", "service/feed/ledger/roster.cc",
       "a removal from the roster overtakes the record of one that came back"},
      {"r15_back_is_missing", "R15", "service/feed/ledger/roster_command.cc",
       "one that lapsed and came back stays marked as missing in the store"},
      {"r15_roster_forgotten", "R15", "service/feed/ledger/enforcement.cc",
       "a start does not read the roster"},
      {"r16_grants_cut_off", "R16", "service/feed/ledger/enforcement.cc",
       "a service cut from its store grants on"},
      {"r16_successor_does_not_wait", "R16", "service/feed/ledger/enforcement.cc",
       "a successor does not wait for T"},
      {"r16_wall_clock_ignored", "R16", "service/feed/ledger/write_window.cc",
       "what the wall clock says of the last write's age is not heard"},
      {"r17_no_hold", "R17", "service/feed/ledger/enforcement.cc",
       "a restored store declares at once"},
      {"r17_unfinished_forgotten", "R17", "tests/simulation/service_node.cc",
       "what the journal's last entry takes away is not taken away anew (in the simulated shell)"},
      {"r19_answers_unproven", "R19", "validator/core/follower.cc",
       "a Hello does not tell of answers above what is applied"},
      {"r19_mark_ignored", "R19", "storage/journal/marked_engine.cc",
       "a start does not compare the store with its mark"},
      {"r18_drift_forgotten", "R18", "validator/core/edge_clock.cc",
       "the service's clock is advanced without the drift bound"},
      {"r18_own_clock", "R18", "validator/core/edge_reader.cc",
       "expiry is judged by the edge's wall clock"},
      {"r18_sweep_untold", "R18", "service/records/held_token.cc", "the sweep tells nobody"},
      {"r19_numbers_alone", "R19", "service/history/history.cc",
       "a proof is not looked at: the applied revision alone is"},
      {"r19_no_proof", "R19", "validator/core/follower.cc", "a validator brings no proof"},
      {"r20_wall_clock_believed", "R20", "service/clock/service_time.cc",
       "the service's time is its wall clock, whatever that says"},
      {"i7_brand_ignored", "I7", "validator/core/follower.cc",
       "a service of another brand is followed"},
      {"r4_holders_forgotten", "R4", "validator/core/validator.cc",
       "goodbye is said while a holder may hold on", 0},
      {"hold_event_unheard", "holds", "validator/core/hold_table.cc",
       "an event does not put holds in doubt"},
      {"hold_word_past_lease", "holds", "validator/core/hold_table.cc",
       "a word to a holder reaches beyond the lease"},
      {"last_admit_guessed", "section 4", "service/feed/ledger/last_admissions.cc",
       "an edge that has said nothing is not told as unknown"},
      {"last_admit_gap_forgotten", "section 2", "service/use/coverage.cc",
       "an edge that ended without a last report leaves no gap"},
      {"policy_untold", "section 6", "service/workspaces/set_policy.cc",
       "edges are not told that a policy names other annotations", 0},
      {"annotation_untold", "section 6", "service/tokens/update_token.cc",
       "edges are not told that an annotation of theirs has changed", 0},
      {"unknown_event_skipped", "section 6", "validator/core/follower.cc",
       "an event of an unknown kind is skipped"},
  };
  return *kAll;
}

int RunMutations(uint64_t seeds) {
  int tried = 0, missed = 0;
  std::cout << "| mutation | rule | what is taken out or bent | in | caught by seed | invariant |\n"
               "| --- | --- | --- | --- | --- | --- |\n";
  for (const MutationCase& mutation : AllMutations()) {
    if (mutation.from == 0) continue;
    base::chosen_mutation = mutation.name;
    ++tried;
    uint64_t seed = mutation.from;
    Outcome outcome;
    for (; seed < mutation.from + seeds; ++seed) {
      outcome = RunSeed(seed, /*record=*/false);
      if (outcome.broken) break;
    }
    if (!outcome.broken) ++missed;
    std::cout << absl::StrFormat("| `%s` | %s | %s | `%s` | %s | %s |\n", mutation.name,
                                 mutation.rule, mutation.what, mutation.file,
                                 outcome.broken ? std::to_string(seed) : "**none**",
                                 outcome.broken ? outcome.invariant : "")
              << std::flush;
  }
  base::chosen_mutation = nullptr;
  std::cout << "mutations: " << tried << ", not caught: " << missed << '\n';
  return missed;
}

}  // namespace tollgate::simulation

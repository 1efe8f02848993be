#include "service/history/history.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lease/proof.h"
#include "service/history/proof_maker.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "storage/start_command.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using State = KnownFingerprint::State;

History SomeHistory() {
  History history;
  history.store_id = "store";
  history.epoch = "now";
  history.past_epochs = {"before"};
  for (const auto& [term, from] : {std::pair("t1", 1), std::pair("t2", 10)}) {
    history.terms.emplace_back();
    history.terms.back().set_term(term);
    history.terms.back().set_from_revision(from);
  }
  return history;
}

v1::Hello HelloOf(int64_t revision, const std::string& term, const std::string& fingerprint) {
  v1::Hello hello;
  hello.set_epoch("now");
  hello.set_applied_revision(revision);
  hello.mutable_proof()->set_store_id("store");
  hello.mutable_proof()->set_epoch("now");
  hello.mutable_proof()->set_term(term);
  hello.mutable_proof()->set_revision(revision);
  hello.mutable_proof()->set_fingerprint(fingerprint);
  return hello;
}

TEST(History, KnowsTheTermOfARevision) {
  const History history = SomeHistory();
  EXPECT_EQ(history.term(), "t2");
  EXPECT_EQ(history.TermOf(0), "");
  EXPECT_EQ(history.TermOf(1), "t1");
  EXPECT_EQ(history.TermOf(9), "t1");
  EXPECT_EQ(history.TermOf(10), "t2");
  EXPECT_EQ(history.TermOf(1'000'000), "t2");
  EXPECT_EQ(History().term(), "");
}

TEST(JudgeHello, ComparesFingerprintsWhereTheyAreKept) {
  const History history = SomeHistory();
  // Not the term: a process that was resumed together with its memory is in a term of ours.
  EXPECT_EQ(JudgeHello(HelloOf(12, "t2", "fp"), history, 20, {State::kKept, "fp"}),
            Agreement::kSame);
  EXPECT_EQ(JudgeHello(HelloOf(12, "t2", "other"), history, 20, {State::kKept, "fp"}),
            Agreement::kContradiction);
  EXPECT_EQ(JudgeHello(HelloOf(20, "t2", "fp"), history, 20, {State::kKept, "fp"}),
            Agreement::kSame);
}

TEST(JudgeHello, ComparesTermsBelowThem) {
  const History history = SomeHistory();
  EXPECT_EQ(JudgeHello(HelloOf(9, "t1", "fp"), history, 20, {State::kNotKept, ""}),
            Agreement::kSame);
  EXPECT_EQ(JudgeHello(HelloOf(10, "t1", "fp"), history, 20, {State::kNotKept, ""}),
            Agreement::kContradiction);
  EXPECT_EQ(JudgeHello(HelloOf(9, "t0", "fp"), history, 20, {State::kNotKept, ""}),
            Agreement::kContradiction);
}

TEST(JudgeHello, AsksForWhatItNeeds) {
  EXPECT_EQ(JudgeHello(HelloOf(12, "t2", "fp"), SomeHistory(), 20, {}),
            Agreement::kNeedsFingerprint);
  // Above the head there is none to ask for.
  EXPECT_EQ(JudgeHello(HelloOf(21, "t2", "fp"), SomeHistory(), 20, {}), Agreement::kContradiction);
}

TEST(JudgeHello, ResumesOnlyWhereTheProofSpeaksForAllThatWasApplied) {
  const History history = SomeHistory();
  v1::Hello hello = HelloOf(12, "t2", "fp");
  hello.set_applied_revision(13);
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kKept, "fp"}), Agreement::kUnproven);
  hello.set_applied_revision(21);
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kKept, "fp"}), Agreement::kUnprovenFuture);
  hello.set_applied_revision(11);
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kKept, "fp"}), Agreement::kUnproven);
  hello.clear_epoch();  // a new process, with the proof of the one before
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kKept, "fp"}), Agreement::kFresh);
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kKept, "other"}), Agreement::kContradiction);
}

// An answer may be read at a later revision than what is applied; a store that then lost just that
// revision agrees with the proof all the same.
TEST(JudgeHello, AnswersAboveTheProofMustBeOfOurHistoryToo) {
  const History history = SomeHistory();
  v1::Hello hello = HelloOf(12, "t2", "fp");
  ASSERT_EQ(JudgeHello(hello, history, 20, {State::kKept, "fp"}), Agreement::kSame);
  hello.set_answered_revision(14);
  hello.set_answered_term("t2");
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kKept, "fp"}), Agreement::kSame);
  hello.set_answered_term("t1");
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kKept, "fp"}), Agreement::kUnproven);
  hello.set_answered_term("t2");
  hello.set_answered_revision(21);  // nobody is stopped by it: it has no seal
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kKept, "fp"}), Agreement::kUnproven);
}

TEST(JudgeHello, TellsElsewhereFromNowhere) {
  const History history = SomeHistory();
  v1::Hello hello = HelloOf(12, "t2", "fp");
  hello.mutable_proof()->set_store_id("another");
  EXPECT_EQ(JudgeHello(hello, history, 20, {}), Agreement::kElsewhere);
  hello = HelloOf(12, "t2", "fp");
  hello.set_epoch("before");
  hello.mutable_proof()->set_epoch("before");
  EXPECT_EQ(JudgeHello(hello, history, 20, {}), Agreement::kElsewhere);
  hello.set_epoch("never");
  hello.mutable_proof()->set_epoch("never");
  EXPECT_EQ(JudgeHello(hello, history, 20, {}), Agreement::kUnknownEpoch);
  hello.clear_proof();
  EXPECT_EQ(JudgeHello(hello, history, 20, {}), Agreement::kUnknownEpoch);
  hello.set_epoch("before");
  EXPECT_EQ(JudgeHello(hello, history, 20, {}), Agreement::kElsewhere);
  EXPECT_EQ(JudgeHello(v1::Hello(), history, 20, {}), Agreement::kFresh);
}

TEST(JudgeHello, WithoutAProofClaimsNothing) {
  v1::Hello hello = HelloOf(20, "", "");
  hello.clear_proof();
  EXPECT_EQ(JudgeHello(hello, SomeHistory(), 20, {}), Agreement::kUnproven);
  hello.set_applied_revision(21);
  EXPECT_EQ(JudgeHello(hello, SomeHistory(), 20, {}), Agreement::kUnprovenFuture);
  hello.set_applied_revision(0);
  EXPECT_EQ(JudgeHello(hello, SomeHistory(), 20, {}), Agreement::kFresh);
}

TEST(History, KnowsWhenItsPredecessorsAreDead) {
  const absl::Duration longest = absl::Minutes(10);
  const auto at = [](int64_t seconds) {
    return base::BootTime::FromNanos(seconds * 1'000'000'000);
  };
  struct Term {
    int64_t from;
    const char* boot;
    int64_t began;  // seconds
  };
  const auto dead = [&](std::vector<Term> terms, int64_t now) {
    History history;
    for (const Term& term : terms) {
      history.terms.emplace_back();
      history.terms.back().set_from_revision(term.from);
      history.terms.back().set_boot_id(term.boot);
      history.terms.back().set_start_boot_us(term.began * 1'000'000);
    }
    return history.PredecessorsDead(at(now), longest);
  };
  // All of the store's life on this boot of this machine.
  EXPECT_TRUE(dead({{1, "a", 100}, {5, "a", 110}}, 110));
  EXPECT_FALSE(dead({{1, "a", 100}, {5, "b", 110}}, 100'000)) << "the last one was elsewhere";
  EXPECT_FALSE(dead({{1, "", 100}, {5, "", 110}}, 100'000)) << "of no machine that is known";
  // The one before the run may still grant for its T.
  EXPECT_FALSE(dead({{1, "b", 7}, {5, "a", 100}, {9, "a", 110}}, 699));
  EXPECT_TRUE(dead({{1, "b", 7}, {5, "a", 100}, {9, "a", 110}}, 700));
  EXPECT_FALSE(dead({{1, "a", 50}, {3, "b", 7}, {5, "a", 100}, {9, "a", 110}}, 699));
  // A program older than terms served it before.
  EXPECT_FALSE(dead({{4, "a", 100}, {5, "a", 110}}, 699));
  EXPECT_TRUE(dead({{4, "a", 100}, {5, "a", 110}}, 700));
  EXPECT_FALSE(dead({{4, "a", 0}, {5, "a", 110}}, 100'000)) << "its start is not known";
  EXPECT_FALSE(dead({{4, "a", 9'000'000'000'000}, {5, "a", 110}}, 100'000)) << "a damaged one";
  EXPECT_FALSE(dead({{4, "a", 100}}, 100'000));
  EXPECT_FALSE(dead({}, 100'000));
}

// A later start tells of an earlier one's revisions too. Were its own term in such a proof, the
// validator would contradict the history once the fingerprint was compacted.
TEST(ProofMaker, NamesTheTermOfTheRevision) {
  base::InitSecrets();
  const History history = SomeHistory();
  const ProofMaker maker(history, std::make_shared<const lease::Sealer>(base::SecretBytes::CopyOf(
                                      std::string(lease::kSealingKeyBytes, 'k'))));
  v1::Hello hello;
  hello.set_epoch("now");
  hello.set_applied_revision(9);
  *hello.mutable_proof() = *maker.ProofOf(9, std::string(lease::kFingerprintBytes, 'f'));
  EXPECT_EQ(hello.proof().term(), "t1");
  EXPECT_EQ(JudgeHello(hello, history, 20, {State::kNotKept, ""}), Agreement::kSame);
  EXPECT_TRUE(lease::CheckProof(hello.proof()).ok());
  EXPECT_FALSE(maker.ProofOf(0, "").has_value());
}

TEST(ReadHistory, ReadsWhatTheStartsWrote) {
  const std::unique_ptr<storage::MemoryEngine> engine = *storage::MemoryEngine::Open();
  for (const char* term : {"t1", "t2"}) {
    storage::ServiceStarted started("1.0", term, "boot");
    const storage::BatchOutcome outcome = *storage::RunBatch(
        **engine->NewSnapshot(), absl::FromUnixSeconds(1'700'000'000), {&started});
    ASSERT_TRUE(engine->Commit(outcome.request)->committed);
  }
  const absl::StatusOr<History> history = ReadHistory(**engine->NewSnapshot());
  ASSERT_TRUE(history.ok()) << history.status();
  EXPECT_NE(history->store_id, "");
  EXPECT_NE(history->epoch, "");
  ASSERT_EQ(history->terms.size(), 2u);
  EXPECT_EQ(history->term(), "t2");
  EXPECT_EQ(history->TermOf(1), "t1");
  EXPECT_EQ(history->TermOf(2), "t2");
}

}  // namespace
}  // namespace tollgate::service

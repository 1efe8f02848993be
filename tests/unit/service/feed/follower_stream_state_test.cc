#include "service/feed/follower_stream_state.h"

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = FollowerStreamState::Output::Kind;

constexpr char kEpoch[] = "0123456789abcdef0123456789abcdef";

// Says yes to everything, or what a test wants said.
class FakeLessor : public Lessor {
 public:
  void Acknowledge(const lease::SessionId&, int64_t revision, const v1::Ping&) override {
    acks.push_back(revision);
  }
  LeaseAnswer GrantLease(const lease::SessionId&, int64_t revision) override {
    asked.push_back(revision);
    if (revision < floor) return {absl::ZeroDuration(), LeaseOutcome::kBelowEnforced};
    if (answer != LeaseOutcome::kGranted) return {absl::ZeroDuration(), answer};
    return {absl::Seconds(30), LeaseOutcome::kGranted};
  }
  bool BindCaller(const lease::SessionId&, absl::string_view caller) override {
    callers.emplace_back(caller);
    return callers.back() == callers.front();
  }
  std::vector<std::string> callers;
  LeaseOutcome answer = LeaseOutcome::kGranted;
  int64_t floor = 0;
  std::vector<int64_t> acks;
  std::vector<int64_t> asked;
};

class FollowerStreamStateTest : public ::testing::Test {
 protected:
  FollowerStreamStateTest() {
    history_.store_id = "store";
    history_.epoch = kEpoch;
    history_.past_epochs = {"another"};
    store::v1::TermRecord term;
    term.set_term("term-1");
    history_.terms.push_back(term);
    proofs_ = std::make_unique<ProofMaker>(history_, SealerOf('k'));
    Open({}, 0);
  }
  static std::shared_ptr<const lease::Sealer> SealerOf(char byte) {
    return std::make_shared<const lease::Sealer>(
        base::SecretBytes::CopyOf(std::string(lease::kSealingKeyBytes, byte)));
  }

  void Open(EventRing::Options ring, int64_t floor, size_t max_message_bytes = 256 << 10) {
    ring.proofs = proofs_.get();
    ring_ = std::make_unique<EventRing>(ring, floor);
    FollowerStreamState::Options options;
    options.history = &history_;
    options.proofs = proofs_.get();
    options.brand = "acme";
    options.max_message_bytes = max_message_bytes;
    options_ = options;
    Reconnect();
  }
  void Reconnect() {
    state_ = std::make_unique<FollowerStreamState>(options_, ring_.get(), &lessor_, now_);
  }

  int64_t Commit(int events = 1, size_t bytes = 10) {
    storage::TailEntry entry;
    entry.revision = ring_->head() + 1;
    entry.fingerprint = FingerprintOf(entry.revision);
    for (int i = 0; i < events; ++i) {
      entry.events.add_events()->mutable_cohort_revoked()->set_owner(std::string(bytes, 'o'));
    }
    EXPECT_TRUE(ring_->Append(entry));
    return entry.revision;
  }
  static std::string FingerprintOf(int64_t revision, char history = 'a') {
    std::string fingerprint(lease::kFingerprintBytes, history);
    const std::string number = std::to_string(revision);
    return fingerprint.replace(0, number.size(), number);
  }
  // With the proof that a follower of this epoch has of what it has applied.
  v1::FollowRequest HelloMessage(const std::string& epoch, int64_t applied) {
    v1::FollowRequest request;
    request.mutable_hello()->set_validator_id("payments/edge-3");
    request.mutable_hello()->set_incarnation(std::string(16, 'i'));
    request.mutable_hello()->set_epoch(epoch);
    request.mutable_hello()->set_applied_revision(applied);
    if (epoch == kEpoch) {
      *request.mutable_hello()->mutable_proof() =
          *proofs_->ProofOf(applied, FingerprintOf(applied));
    }
    return request;
  }
  FollowerStreamState::Received HelloWith(const v1::Proof& proof) {
    v1::FollowRequest request = HelloMessage(kEpoch, proof.revision());
    *request.mutable_hello()->mutable_proof() = proof;
    return state_->Receive(request, now_);
  }
  FollowerStreamState::Received Hello(const std::string& epoch = "", int64_t applied = 0) {
    return state_->Receive(HelloMessage(epoch, applied), now_);
  }
  FollowerStreamState::Received Ping(int64_t applied) {
    v1::FollowRequest request;
    request.mutable_ping()->set_sequence(++sequence_);
    request.mutable_ping()->set_applied_revision(applied);
    return state_->Receive(request, now_);
  }
  FollowerStreamState::Output Next() {
    return state_->Next(now_, absl::FromUnixSeconds(1'700'000'000));
  }
  // The next message, which must be there.
  v1::FollowResponse Message() {
    const FollowerStreamState::Output output = Next();
    EXPECT_EQ(output.kind, Kind::kWrite);
    std::string bytes;
    for (const SharedBytes& piece : output.pieces) bytes += *piece;
    v1::FollowResponse message;
    EXPECT_TRUE(message.ParseFromString(bytes));
    return message;
  }
  v1::Welcome Welcomed() {
    const v1::FollowResponse message = Message();
    EXPECT_TRUE(message.has_welcome());
    return message.welcome();
  }
  std::vector<int64_t> EventRevisions() {
    const v1::FollowResponse message = Message();
    EXPECT_TRUE(message.has_events()) << message.DebugString();
    std::vector<int64_t> revisions;
    for (const auto& r : message.events().revisions()) revisions.push_back(r.revision());
    return revisions;
  }
  bool Idle() { return Next().kind == Kind::kNothing; }

  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000'000);
  FollowerStreamState::Options options_;
  FakeLessor lessor_;
  History history_;
  std::unique_ptr<const ProofMaker> proofs_;
  std::unique_ptr<EventRing> ring_;
  std::unique_ptr<FollowerStreamState> state_;
  uint64_t sequence_ = 0;
};

TEST_F(FollowerStreamStateTest, R2AFreshValidatorIsResetAndWelcomeGrantsNothing) {
  const int64_t head = Commit();
  EXPECT_TRUE(Idle());
  EXPECT_EQ(Hello(), FollowerStreamState::Received::kHello);
  const v1::Welcome welcome = Welcomed();
  EXPECT_TRUE(welcome.reset());
  EXPECT_EQ(welcome.revision(), head);
  EXPECT_EQ(welcome.epoch(), kEpoch);
  EXPECT_EQ(welcome.ping_interval().seconds(), 5);
  EXPECT_TRUE(Idle());
  EXPECT_THAT(lessor_.asked, IsEmpty());
  EXPECT_THAT(lessor_.acks, IsEmpty());
}

TEST_F(FollowerStreamStateTest, R11AResumeStartsAtAppliedPlusOneExactly) {
  for (int i = 0; i < 5; ++i) Commit();
  EXPECT_EQ(Hello(kEpoch, 3), FollowerStreamState::Received::kHello);
  const v1::Welcome welcome = Welcomed();
  EXPECT_FALSE(welcome.reset());
  EXPECT_EQ(welcome.revision(), 5);  // for information
  EXPECT_THAT(EventRevisions(), ElementsAre(4, 5));
  EXPECT_TRUE(Idle());
}

TEST_F(FollowerStreamStateTest, R11AnotherEpochIsResetWhateverItsRevision) {
  Commit();
  Hello("another", 99);
  EXPECT_TRUE(Welcomed().reset());
  EXPECT_EQ(state_->sent(), 1);
}

// What an end by TurnAway looks like on the wire.
#define EXPECT_TURNED_AWAY(why, field_name)                                     \
  do {                                                                          \
    EXPECT_EQ(Message().go_away().reason(), "other_history");                   \
    const FollowerStreamState::Output end = Next();                             \
    ASSERT_EQ(end.kind, Kind::kFinish);                                         \
    EXPECT_EQ(end.status.code(), absl::StatusCode::kFailedPrecondition);        \
    EXPECT_EQ(base::ReasonOf(end.status), why);                                 \
    ASSERT_EQ(base::DetailsOf(end.status).fields.size(), 1u);                   \
    EXPECT_EQ(base::DetailsOf(end.status).fields[0].field, field_name);         \
    EXPECT_EQ(state_->refusal(), end.status);                                   \
    EXPECT_TRUE(Idle());                                                        \
    EXPECT_TRUE(lessor_.callers.empty()) << "who is turned away binds nothing"; \
  } while (false)

TEST_F(FollowerStreamStateTest, R11AProvenFutureIsReportedAndRefused) {
  Commit();
  EXPECT_EQ(Hello(kEpoch, 2), FollowerStreamState::Received::kForked);
  EXPECT_TURNED_AWAY("STORE_ROLLED_BACK", "hello.proof.revision");
}

TEST_F(FollowerStreamStateTest, R19AnotherHistoryWithTheSameNumbersIsTold) {
  for (int i = 0; i < 3; ++i) Commit();
  EXPECT_EQ(HelloWith(*proofs_->ProofOf(2, FingerprintOf(2, 'b'))),
            FollowerStreamState::Received::kForked);
  EXPECT_TURNED_AWAY("STORE_ROLLED_BACK", "hello.proof.revision");
}

TEST_F(FollowerStreamStateTest, R19WithoutOurSealAContradictionStopsNobody) {
  for (int i = 0; i < 3; ++i) Commit();
  const ProofMaker forger(history_, SealerOf('x'));
  EXPECT_EQ(HelloWith(*forger.ProofOf(2, FingerprintOf(2, 'b'))),
            FollowerStreamState::Received::kStranger);
  EXPECT_TURNED_AWAY("HISTORY_UNPROVEN", "hello.proof.mac");
  Reconnect();
  EXPECT_EQ(HelloWith(*forger.ProofOf(1'000'000, FingerprintOf(2, 'b'))),
            FollowerStreamState::Received::kStranger);
  EXPECT_TURNED_AWAY("HISTORY_UNPROVEN", "hello.proof.mac");
}

TEST_F(FollowerStreamStateTest, R19AnAgreementNeedsNoSeal) {
  for (int i = 0; i < 3; ++i) Commit();
  const ProofMaker lost(history_, SealerOf('x'));  // the sealing key was lost, and made anew
  EXPECT_EQ(HelloWith(*lost.ProofOf(2, FingerprintOf(2))), FollowerStreamState::Received::kHello);
  EXPECT_FALSE(Welcomed().reset());
}

TEST_F(FollowerStreamStateTest, R19AFutureWithoutAProofStopsNobody) {
  Commit();
  v1::FollowRequest request = HelloMessage(kEpoch, 2);
  request.mutable_hello()->clear_proof();
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kStranger);
  EXPECT_TURNED_AWAY("REVISION_FROM_THE_FUTURE", "hello.applied_revision");
}

TEST_F(FollowerStreamStateTest, R19WhatIsNotProvenIsReset) {
  for (int i = 0; i < 3; ++i) Commit();
  v1::FollowRequest request = HelloMessage(kEpoch, 2);  // of a validator older than proofs
  request.mutable_hello()->clear_proof();
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kHello);
  EXPECT_TRUE(Welcomed().reset());
  Reconnect();
  request = HelloMessage(kEpoch, 2);  // it has applied more than its proof speaks for
  request.mutable_hello()->set_applied_revision(3);
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kHello);
  EXPECT_TRUE(Welcomed().reset());
}

TEST_F(FollowerStreamStateTest, R19AFreshProcessIsAWitnessToo) {
  Commit();
  v1::FollowRequest request = HelloMessage("", 0);
  *request.mutable_hello()->mutable_proof() = *proofs_->ProofOf(1, FingerprintOf(1));
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kHello);
  EXPECT_TRUE(Welcomed().reset());
  Reconnect();
  lessor_.callers.clear();
  *request.mutable_hello()->mutable_proof() = *proofs_->ProofOf(1, FingerprintOf(1, 'b'));
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kForked);
  EXPECT_TURNED_AWAY("STORE_ROLLED_BACK", "hello.proof.revision");
}

TEST_F(FollowerStreamStateTest, R19AnEpochThatTheStoreNeverHadIsRefused) {
  Commit();
  EXPECT_EQ(Hello("a stranger's", 1), FollowerStreamState::Received::kStranger);
  EXPECT_TURNED_AWAY("EPOCH_UNKNOWN", "hello.epoch");
}

TEST_F(FollowerStreamStateTest, R19AnotherStoreIsReset) {
  Commit();
  v1::Proof proof = *proofs_->ProofOf(77, FingerprintOf(77));
  proof.set_store_id("another store");
  EXPECT_EQ(HelloWith(proof), FollowerStreamState::Received::kHello);
  EXPECT_TRUE(Welcomed().reset());
}

TEST_F(FollowerStreamStateTest, R19AnOldProofIsComparedByReadingTheStore) {
  EventRing::Options ring;
  ring.max_fingerprints = 2;
  Open(ring, 0);
  for (int i = 0; i < 5; ++i) Commit();
  const auto ask = [this] {
    Reconnect();
    EXPECT_EQ(Hello(kEpoch, 2), FollowerStreamState::Received::kNothing);
    const FollowerStreamState::Output output = Next();
    EXPECT_EQ(output.kind, Kind::kProve);
    EXPECT_EQ(output.after, 2);
    EXPECT_TRUE(Idle()) << "it asks once";
    EXPECT_FALSE(state_->greeted());
  };
  using State = KnownFingerprint::State;
  ask();
  EXPECT_EQ(state_->Proved({State::kKept, FingerprintOf(2)}),
            FollowerStreamState::Received::kHello);
  EXPECT_TRUE(Idle()) << "nothing is said before the Hello is registered";
  state_->Registered();
  EXPECT_FALSE(Welcomed().reset());

  lessor_.callers.clear();
  ask();
  EXPECT_EQ(state_->Proved({State::kKept, FingerprintOf(2, 'b')}),
            FollowerStreamState::Received::kForked);
  EXPECT_TURNED_AWAY("STORE_ROLLED_BACK", "hello.proof.revision");

  // Compacted: the term decides.
  ask();
  EXPECT_EQ(state_->Proved({State::kNotKept, ""}), FollowerStreamState::Received::kHello);
  state_->Registered();
  EXPECT_FALSE(Welcomed().reset());
  lessor_.callers.clear();
  history_.terms[0].set_from_revision(3);
  ask();
  EXPECT_EQ(state_->Proved({State::kNotKept, ""}), FollowerStreamState::Received::kForked);
  EXPECT_TURNED_AWAY("STORE_ROLLED_BACK", "hello.proof.revision");

  ask();
  EXPECT_EQ(state_->Proved({State::kNotAtHand, ""}), FollowerStreamState::Received::kRefused);
  EXPECT_EQ(base::ReasonOf(Next().status), "STORE_READ_FAILED");

  ask();
  state_->ProveFailed();
  EXPECT_EQ(base::ReasonOf(Next().status), "OVERLOADED");
}

TEST_F(FollowerStreamStateTest, R19WhatComesWhileTheStoreIsReadIsNoFault) {
  EventRing::Options ring;
  ring.max_fingerprints = 1;
  Open(ring, 0);
  for (int i = 0; i < 5; ++i) Commit();
  EXPECT_EQ(Hello(kEpoch, 2), FollowerStreamState::Received::kNothing);
  v1::FollowRequest usage;
  usage.mutable_usage();
  EXPECT_EQ(state_->Receive(usage, now_), FollowerStreamState::Received::kNothing);
  v1::FollowRequest goodbye;
  goodbye.mutable_goodbye();
  EXPECT_EQ(state_->Receive(goodbye, now_), FollowerStreamState::Received::kNothing);
  EXPECT_EQ(state_->Proved({KnownFingerprint::State::kKept, FingerprintOf(2)}),
            FollowerStreamState::Received::kNothing)
      << "it has gone";
  const FollowerStreamState::Output end = Next();
  ASSERT_EQ(end.kind, Kind::kFinish);
  EXPECT_TRUE(end.status.ok());
}

TEST_F(FollowerStreamStateTest, R19WhateverMovesAFollowerBringsItsProof) {
  Commit();
  Hello();
  const v1::Welcome welcome = Welcomed();
  EXPECT_EQ(welcome.term(), "term-1");
  EXPECT_EQ(welcome.proof().revision(), 1);
  EXPECT_EQ(welcome.proof().fingerprint(), FingerprintOf(1));
  EXPECT_TRUE(proofs_->IsSealed(welcome.proof()));
  Commit();
  Commit();
  const v1::FollowResponse events = Message();
  EXPECT_EQ(events.events().revisions_size(), 2);
  EXPECT_EQ(events.events().proof().revision(), 3) << "of the last of what lies end to end";
  EXPECT_EQ(events.events().proof().fingerprint(), FingerprintOf(3));
  EXPECT_TRUE(proofs_->IsSealed(events.events().proof()));
  Commit(0);
  Ping(3);
  const v1::FollowResponse pong = Message();
  EXPECT_EQ(pong.pong().revision(), 4);
  EXPECT_EQ(pong.pong().proof().revision(), 4);
  EXPECT_TRUE(proofs_->IsSealed(pong.pong().proof()));
}

TEST_F(FollowerStreamStateTest, R19AMalformedProofIsRefused) {
  Commit();
  v1::FollowRequest request = HelloMessage(kEpoch, 1);
  request.mutable_hello()->mutable_proof()->clear_mac();
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kRefused);
  EXPECT_EQ(base::ReasonOf(Next().status), "PROOF_MALFORMED");
  Reconnect();
  request = HelloMessage(kEpoch, 1);
  request.mutable_hello()->set_epoch("another");
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kRefused);
  EXPECT_EQ(base::DetailsOf(Next().status).fields[0].field, "hello.proof.epoch");
}

TEST_F(FollowerStreamStateTest, R11WhatNoStoreReachesIsNoRevision) {
  EXPECT_EQ(Hello(kEpoch, int64_t{1} << 62), FollowerStreamState::Received::kRefused);
  EXPECT_EQ(base::ReasonOf(Next().status), "REVISION_MALFORMED");
  Reconnect();
  EXPECT_EQ(Hello(kEpoch, int64_t{1} << 53), FollowerStreamState::Received::kForked);
  EXPECT_TRUE(lessor_.callers.empty());  // a claim of the future binds no session
}

TEST_F(FollowerStreamStateTest, R3AnotherCallerIsNotLetInAndNothingItSaysCounts) {
  options_.caller = "spiffe://example.org/a";
  Reconnect();
  EXPECT_EQ(Hello(), FollowerStreamState::Received::kHello);
  options_.caller = "spiffe://example.org/b";
  Reconnect();
  EXPECT_EQ(Hello(), FollowerStreamState::Received::kRefused);
  v1::FollowRequest goodbye;
  goodbye.mutable_goodbye();
  EXPECT_EQ(state_->Receive(goodbye, now_), FollowerStreamState::Received::kNothing);
  EXPECT_EQ(Ping(1), FollowerStreamState::Received::kNothing);
  EXPECT_TRUE(lessor_.acks.empty());
  const FollowerStreamState::Output end = Next();
  ASSERT_EQ(end.kind, Kind::kFinish);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(base::ReasonOf(end.status), "SESSION_OF_ANOTHER");
}

TEST_F(FollowerStreamStateTest, R8APongCarriesWhatWasSentAndMovesOverEventlessCommits) {
  Hello();
  Welcomed();
  Ping(0);
  const v1::FollowResponse first = Message();
  EXPECT_EQ(first.pong().revision(), 0);
  EXPECT_EQ(first.pong().sequence(), 1u);
  EXPECT_EQ(first.pong().lease().seconds(), 30);
  EXPECT_EQ(first.pong().service_time().seconds(), 1'700'000'000);
  Commit(0);
  Commit(0);
  EXPECT_TRUE(Idle());  // a revision without events is not sent
  Ping(0);
  EXPECT_EQ(Message().pong().revision(), 2);
  // Behind the events that were there when the ping came.
  Commit(1);
  Commit(0);
  Ping(2);
  EXPECT_THAT(EventRevisions(), ElementsAre(3));
  EXPECT_EQ(Message().pong().revision(), 4);
  EXPECT_THAT(lessor_.asked, ElementsAre(0, 2, 4));
}

TEST_F(FollowerStreamStateTest, R8EventsThatKeepComingDoNotHoldAPongUpAndItClaimsNoneOfThem) {
  Hello();
  Welcomed();
  Commit();
  Ping(0);
  EXPECT_THAT(EventRevisions(), ElementsAre(1));
  Commit();  // after the ping
  EXPECT_EQ(Message().pong().revision(), 1);
  EXPECT_THAT(EventRevisions(), ElementsAre(2));
}

TEST_F(FollowerStreamStateTest, R9APongThatCouldNotGrantIsSentAfterWhatIsMissing) {
  Hello();
  Welcomed();
  Ping(0);
  Commit();
  lessor_.floor = 1;  // declared enforced meanwhile
  EXPECT_THAT(EventRevisions(), ElementsAre(1));
  const v1::FollowResponse pong = Message();
  EXPECT_EQ(pong.pong().revision(), 1);
  EXPECT_EQ(pong.pong().lease().seconds(), 30);
}

TEST_F(FollowerStreamStateTest, R10AnAcknowledgementCountsOnlyUpToWhatWasSent) {
  Hello();
  Welcomed();
  Commit();
  Commit();
  Ping(99);
  EXPECT_THAT(lessor_.acks, ElementsAre(0));
  EXPECT_THAT(EventRevisions(), ElementsAre(1, 2));
  Ping(99);
  EXPECT_THAT(lessor_.acks, ElementsAre(0, 2));
}

TEST_F(FollowerStreamStateTest, R10NothingFromBeforeAResetCounts) {
  for (int i = 0; i < 9; ++i) Commit();
  Hello("another", 99);
  EXPECT_TRUE(Welcomed().reset());
  Ping(5);  // of no revision of this epoch that it can have
  EXPECT_THAT(lessor_.acks, ElementsAre(0));
  Ping(9);
  EXPECT_THAT(lessor_.acks, ElementsAre(0, 9));
}

TEST_F(FollowerStreamStateTest, R10APingBeforeTheWelcomeIsOfNoEpoch) {
  Commit();
  Hello("another", 1);
  EXPECT_EQ(Ping(1), FollowerStreamState::Received::kRefused);
  EXPECT_THAT(lessor_.acks, IsEmpty());
  EXPECT_EQ(Next().kind, Kind::kFinish);
}

TEST_F(FollowerStreamStateTest, R10ResumedRevisionsMayBeAcknowledged) {
  for (int i = 0; i < 3; ++i) Commit();
  Hello(kEpoch, 3);
  EXPECT_FALSE(Welcomed().reset());
  Ping(3);
  EXPECT_THAT(lessor_.acks, ElementsAre(3));
}

TEST_F(FollowerStreamStateTest, R15APongWaitsForTheRosterButNotForEver) {
  Hello();
  Welcomed();
  lessor_.answer = LeaseOutcome::kNotRostered;
  Ping(0);
  EXPECT_TRUE(Idle());
  Commit();
  EXPECT_THAT(EventRevisions(), ElementsAre(1));  // events do not wait for it
  EXPECT_TRUE(Idle());
  lessor_.answer = LeaseOutcome::kGranted;  // the roster is durable
  EXPECT_EQ(Message().pong().lease().seconds(), 30);

  lessor_.answer = LeaseOutcome::kNotRostered;
  Ping(1);
  EXPECT_TRUE(Idle());
  EXPECT_EQ(state_->NextTick(), now_ + options_.pong_patience);
  now_ = now_ + options_.pong_patience;
  EXPECT_FALSE(Message().pong().has_lease());
}

TEST_F(FollowerStreamStateTest, R6WithoutProgressThePongHasNoLeaseAndInTheEndItIsToldToGo) {
  Hello();
  Welcomed();
  lessor_.answer = LeaseOutcome::kNoProgress;
  Ping(0);
  EXPECT_FALSE(Message().pong().has_lease());
  now_ = now_ + options_.no_progress_limit + absl::Seconds(1);
  Ping(0);
  EXPECT_FALSE(Message().pong().has_lease());
  EXPECT_EQ(Message().go_away().reason(), "no_progress");
  EXPECT_EQ(Next().kind, Kind::kFinish);
}

TEST_F(FollowerStreamStateTest, I5OfManyPingsTheLatestIsAnswered) {
  Hello();
  Welcomed();
  for (int i = 0; i < 1000; ++i) Ping(0);
  EXPECT_EQ(Message().pong().sequence(), 1000u);
  EXPECT_TRUE(Idle());
}

TEST_F(FollowerStreamStateTest, DrainsFromItsCursorInOneBatchUpToASize) {
  Open({}, 0, /*max_message_bytes=*/1000);
  Hello();
  Welcomed();
  for (int i = 0; i < 50; ++i) Commit(1, 100);
  int64_t expected = 1;
  int messages = 0;
  while (expected <= 50) {
    const FollowerStreamState::Output output = Next();
    ASSERT_EQ(output.kind, Kind::kWrite);
    size_t bytes = 0;
    for (const SharedBytes& piece : output.pieces) bytes += piece->size();
    EXPECT_LE(bytes, 1000u);
    expected += static_cast<int64_t>(output.pieces.size());
    ++messages;
  }
  EXPECT_GT(messages, 5);
  EXPECT_LT(messages, 15);
  EXPECT_EQ(state_->sent(), 50);
}

TEST_F(FollowerStreamStateTest, R8ARevisionInPartsCountsAsSentAfterItsLastPart) {
  EventRing::Options ring;
  ring.max_part_bytes = 1000;
  Open(ring, 0, 1000);
  Hello();
  Welcomed();
  Commit();         // 1, small
  Commit(20, 200);  // 2, huge
  Commit();         // 3, small
  Ping(0);
  EXPECT_THAT(EventRevisions(), ElementsAre(1));
  int events = 0;
  bool partial = true;
  while (partial) {
    EXPECT_EQ(state_->sent(), 1);
    const v1::FollowResponse message = Message();
    ASSERT_EQ(message.events().revisions_size(), 1) << message.DebugString();
    EXPECT_EQ(message.events().revisions(0).revision(), 2);
    events += message.events().revisions(0).events_size();
    partial = message.events().revisions(0).partial();
  }
  EXPECT_EQ(events, 20);
  EXPECT_EQ(state_->sent(), 2);
  EXPECT_THAT(EventRevisions(), ElementsAre(3));
  EXPECT_EQ(Message().pong().revision(), 3);
}

TEST_F(FollowerStreamStateTest, AResumeBelowTheRingIsServedFromTheStoreThenFromTheRing) {
  EventRing::Options ring;
  ring.max_revisions = 3;
  Open(ring, 0);
  for (int i = 0; i < 10; ++i) Commit();
  EXPECT_EQ(Hello(kEpoch, 2), FollowerStreamState::Received::kHello);
  FollowerStreamState::Output output = Next();
  ASSERT_EQ(output.kind, Kind::kCatchUp);
  EXPECT_EQ(output.after, 2);
  EXPECT_TRUE(Idle());  // the Welcome waits for what the store says
  CatchUp answer;
  answer.state = CatchUp::State::kOk;
  for (int64_t r : {3, 4, 5}) {
    v1::RevisionEvents events;
    events.set_revision(r);
    events.add_events();
    answer.revisions.push_back(MakeFeedRevision(events, 1000, nullptr));
  }
  answer.complete_to = 5;
  state_->CaughtUp(answer);
  EXPECT_FALSE(Welcomed().reset());
  EXPECT_THAT(EventRevisions(), ElementsAre(3, 4, 5));
  output = Next();  // 6 and 7 are not in the ring either
  ASSERT_EQ(output.kind, Kind::kCatchUp);
  EXPECT_EQ(output.after, 5);
  Ping(5);
  EXPECT_TRUE(Idle());
  answer.revisions.clear();
  answer.complete_to = 7;
  state_->CaughtUp(answer);
  EXPECT_THAT(EventRevisions(), ElementsAre(8, 9, 10));
  EXPECT_EQ(Message().pong().revision(), 10);
}

TEST_F(FollowerStreamStateTest, ACompactedOrUnreadableResumeIsReset) {
  for (CatchUp::State state : {CatchUp::State::kCompacted, CatchUp::State::kFailed}) {
    EventRing::Options ring;
    ring.max_revisions = 3;
    Open(ring, 0);
    for (int i = 0; i < 10; ++i) Commit();
    Hello(kEpoch, 2);
    ASSERT_EQ(Next().kind, Kind::kCatchUp);
    CatchUp answer;
    answer.state = state;
    state_->CaughtUp(answer);
    const v1::Welcome welcome = Welcomed();
    EXPECT_TRUE(welcome.reset());
    EXPECT_EQ(welcome.revision(), 10);
    EXPECT_TRUE(Idle());
  }
}

TEST_F(FollowerStreamStateTest, FallingOffInTheMiddleOfAStreamReadsTheStoreOrSaysTooSlow) {
  EventRing::Options ring;
  ring.max_revisions = 3;
  Open(ring, 0);
  Hello();
  Welcomed();
  for (int i = 0; i < 10; ++i) Commit();
  ASSERT_EQ(Next().kind, Kind::kCatchUp);
  CatchUp answer;
  answer.state = CatchUp::State::kCompacted;
  state_->CaughtUp(answer);
  EXPECT_EQ(Message().go_away().reason(), "too_slow");
  const FollowerStreamState::Output end = Next();
  EXPECT_EQ(end.kind, Kind::kFinish);
  EXPECT_TRUE(end.status.ok());
}

TEST_F(FollowerStreamStateTest, TheWelcomeTellsTheBrand) {  // I7
  Hello();
  EXPECT_EQ(Welcomed().brand(), "acme");
}

TEST_F(FollowerStreamStateTest,
       UseAndGoodbyeNeedNoWelcome) {  // R4: one that leaves while it resumes
  Hello();
  v1::FollowRequest usage;
  usage.mutable_usage();
  EXPECT_EQ(state_->Receive(usage, now_), FollowerStreamState::Received::kUsage);
  v1::FollowRequest goodbye;
  goodbye.mutable_goodbye();
  EXPECT_EQ(state_->Receive(goodbye, now_), FollowerStreamState::Received::kGoodbye);
}

TEST_F(FollowerStreamStateTest, GoodbyeIsPassedOnAndEndsTheCall) {
  Hello();
  Welcomed();
  v1::FollowRequest request;
  request.mutable_goodbye();
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kGoodbye);
  const FollowerStreamState::Output end = Next();
  ASSERT_EQ(end.kind, Kind::kFinish);
  EXPECT_TRUE(end.status.ok());
  // Nothing after it counts.
  EXPECT_EQ(Ping(0), FollowerStreamState::Received::kNothing);
  EXPECT_THAT(lessor_.acks, IsEmpty());
}

TEST_F(FollowerStreamStateTest, AStreamHasAnAgeAndHelloALimit) {
  EXPECT_EQ(state_->NextTick(), now_ + options_.hello_limit);
  now_ = now_ + options_.hello_limit;
  const FollowerStreamState::Output late = Next();
  ASSERT_EQ(late.kind, Kind::kFinish);
  EXPECT_EQ(base::ReasonOf(late.status), "HELLO_LATE");

  Reconnect();
  Hello();
  Welcomed();
  now_ = now_ + options_.max_age;
  const v1::FollowResponse message = Message();
  EXPECT_EQ(message.go_away().reason(), "max_age");
  EXPECT_TRUE(message.go_away().has_retry_after());
  EXPECT_EQ(Next().kind, Kind::kFinish);
}

TEST_F(FollowerStreamStateTest, TheFirstReasonToGoCounts) {
  Hello();
  Welcomed();
  state_->GoAway("draining", absl::Seconds(1));
  state_->GoAway("replaced", absl::Seconds(2));
  EXPECT_EQ(Message().go_away().reason(), "draining");
}

struct BadHello {
  const char* name;
  const char* reason;
  const char* field;
  std::function<void(v1::Hello*)> spoil;
};
class BadHelloTest : public FollowerStreamStateTest,
                     public ::testing::WithParamInterface<BadHello> {};

TEST_P(BadHelloTest, IsRefusedByField) {
  v1::FollowRequest request = HelloMessage("", 0);
  GetParam().spoil(request.mutable_hello());
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kRefused);
  EXPECT_FALSE(state_->greeted());
  const FollowerStreamState::Output end = Next();
  ASSERT_EQ(end.kind, Kind::kFinish);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(end.status), GetParam().reason);
  ASSERT_EQ(base::DetailsOf(end.status).fields.size(), 1u);
  EXPECT_EQ(base::DetailsOf(end.status).fields[0].field, GetParam().field);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadHelloTest,
    ::testing::Values(
        BadHello{"NoId", "VALIDATOR_ID_MALFORMED", "hello.validator_id",
                 [](v1::Hello* h) { h->clear_validator_id(); }},
        BadHello{"OddId", "VALIDATOR_ID_MALFORMED", "hello.validator_id",
                 [](v1::Hello* h) { h->set_validator_id("edge 1"); }},
        BadHello{"ShortIncarnation", "INCARNATION_MALFORMED", "hello.incarnation",
                 [](v1::Hello* h) { h->set_incarnation("short"); }},
        BadHello{"NegativeRevision", "REVISION_MALFORMED", "hello.applied_revision",
                 [](v1::Hello* h) { h->set_applied_revision(-1); }},
        BadHello{"LongEpoch", "EPOCH_MALFORMED", "hello.epoch",
                 [](v1::Hello* h) { h->set_epoch(std::string(1000, 'e')); }},
        BadHello{"LongBrand", "BRAND_TOO_LONG", "hello.brand",
                 [](v1::Hello* h) { h->set_brand(std::string(17, 'b')); }},
        BadHello{"LongTerm", "REVISION_MALFORMED", "hello.answered_term",
                 [](v1::Hello* h) { h->set_answered_term(std::string(65, 't')); }},
        BadHello{"NegativeAnswer", "REVISION_MALFORMED", "hello.answered_revision",
                 [](v1::Hello* h) { h->set_answered_revision(-1); }},
        BadHello{"LongVersion", "VERSION_TOO_LONG", "hello.version",
                 [](v1::Hello* h) { h->set_version(std::string(1000, 'v')); }},
        BadHello{"OpenForNothing", "FAIL_OPEN_OUT_OF_RANGE", "hello.fail_open_for",
                 [](v1::Hello* h) { h->set_stale_policy(v1::STALE_POLICY_FAIL_OPEN); }},
        BadHello{"OpenForEver", "FAIL_OPEN_OUT_OF_RANGE", "hello.fail_open_for",
                 [](v1::Hello* h) {
                   h->set_stale_policy(v1::STALE_POLICY_FAIL_OPEN);
                   h->mutable_fail_open_for()->set_seconds(INT64_MAX);
                 }},
        BadHello{"HoldsOutliveByNothing", "HOLDS_OUTLIVE_OUT_OF_RANGE", "hello.holds_outlive_lease",
                 [](v1::Hello* h) { h->mutable_holds_outlive_lease(); }},
        BadHello{"HoldsOutliveByLess", "HOLDS_OUTLIVE_OUT_OF_RANGE", "hello.holds_outlive_lease",
                 [](v1::Hello* h) { h->mutable_holds_outlive_lease()->set_nanos(-1); }},
        BadHello{"HoldsOutliveForEver", "HOLDS_OUTLIVE_OUT_OF_RANGE", "hello.holds_outlive_lease",
                 [](v1::Hello* h) { h->mutable_holds_outlive_lease()->set_seconds(86'401); }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(FollowerStreamStateTest, R4AGoodbyeCountsAfterAGoAwayToo) {
  Hello();
  Welcomed();
  state_->GoAway("draining", absl::ZeroDuration());
  EXPECT_TRUE(Message().has_go_away());
  v1::FollowRequest request;
  request.mutable_goodbye();
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kGoodbye);
  EXPECT_EQ(Next().kind, Kind::kFinish);
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kGoodbye);
}

// The report and the goodbye cross the GoAway: who takes the goodbye takes "all was reported" for
// true, and a token whose last use was thrown away for silent.
TEST_F(FollowerStreamStateTest, TheLastReportOfUseCountsAfterAGoAwayToo) {
  Hello();
  Welcomed();
  state_->GoAway("max_age", absl::ZeroDuration());
  EXPECT_TRUE(Message().has_go_away());
  EXPECT_EQ(Next().kind, Kind::kFinish);
  v1::FollowRequest request;
  request.mutable_usage();
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kUsage);
  request.mutable_ping()->set_sequence(1);
  EXPECT_EQ(state_->Receive(request, now_), FollowerStreamState::Received::kNothing);
}

// Use that is told by one that may not tell it could keep a token alive; but that it admits nothing
// more is believed of anybody (R4).
TEST_F(FollowerStreamStateTest, OneThatMayNoLongerFollowIsHeardOnlyWhenItSaysGoodbye) {
  Hello();
  Welcomed();
  v1::FollowRequest usage, goodbye;
  usage.mutable_usage();
  goodbye.mutable_goodbye();
  EXPECT_EQ(state_->Receive(usage, now_), FollowerStreamState::Received::kUsage);
  const int64_t revision = Commit();
  state_->Forbid(absl::PermissionDeniedError("no role"));
  EXPECT_EQ(state_->Receive(usage, now_), FollowerStreamState::Received::kNothing);
  EXPECT_EQ(Ping(revision), FollowerStreamState::Received::kNothing);
  EXPECT_THAT(lessor_.acks, IsEmpty());
  EXPECT_EQ(state_->Receive(goodbye, now_), FollowerStreamState::Received::kGoodbye);
  const FollowerStreamState::Output end = Next();
  ASSERT_EQ(end.kind, Kind::kFinish) << "and it is sent nothing more";
  EXPECT_TRUE(absl::IsPermissionDenied(end.status)) << end.status;
  EXPECT_EQ(state_->Receive(usage, now_), FollowerStreamState::Received::kNothing);
}

TEST_F(FollowerStreamStateTest, OneThatMayNotFollowIsBoundToNoSession) {
  state_->Forbid(absl::PermissionDeniedError("no role"));
  EXPECT_EQ(Hello(), FollowerStreamState::Received::kNothing);
  EXPECT_FALSE(state_->greeted());
  EXPECT_THAT(lessor_.callers, IsEmpty());
  EXPECT_EQ(Next().kind, Kind::kFinish);
}

TEST_F(FollowerStreamStateTest, R16APongWaitsForAKeepAlive) {
  Hello();
  Welcomed();
  lessor_.answer = LeaseOutcome::kStoreSilent;
  Ping(0);
  EXPECT_TRUE(Idle());
  lessor_.answer = LeaseOutcome::kGranted;
  EXPECT_TRUE(Message().pong().has_lease());
  // Not for ever.
  lessor_.answer = LeaseOutcome::kStoreSilent;
  Ping(0);
  EXPECT_TRUE(Idle());
  EXPECT_EQ(state_->NextTick(), now_ + options_.pong_patience);
  now_ = now_ + options_.pong_patience;
  const v1::FollowResponse message = Message();
  ASSERT_TRUE(message.has_pong());
  EXPECT_FALSE(message.pong().has_lease());
}

TEST_F(FollowerStreamStateTest, MessagesOutOfOrderAreRefused) {
  EXPECT_EQ(Ping(0), FollowerStreamState::Received::kRefused);
  EXPECT_EQ(base::ReasonOf(Next().status), "HELLO_FIRST");
  Reconnect();
  Hello();
  Welcomed();
  EXPECT_EQ(Hello(), FollowerStreamState::Received::kRefused);
  EXPECT_EQ(base::ReasonOf(Next().status), "HELLO_TWICE");
  Reconnect();
  Hello();
  Welcomed();
  EXPECT_EQ(state_->Receive(v1::FollowRequest(), now_), FollowerStreamState::Received::kNothing);
  EXPECT_TRUE(Idle());  // a kind that a newer validator knows
}

}  // namespace
}  // namespace tollgate::service

#include "storage/sequencer.h"

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/invariant.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_commands.h"
#include "tests/instruments/audit_chain.h"
#include "tests/instruments/fault_engine.h"

namespace tollgate::storage {
namespace {

using store::v1::HeadRecord;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What callbacks said, in order.
class Answers {
 public:
  Sequencer::Callback Next() {
    return [this](absl::StatusOr<Committed> answer) {
      absl::MutexLock lock(&mu_);
      answers_.push_back(std::move(answer));
    };
  }
  // Waits for `count` answers, at most 10 s.
  std::vector<absl::StatusOr<Committed>> Wait(size_t count) {
    absl::MutexLock lock(&mu_);
    wanted_ = count;
    mu_.AwaitWithTimeout(absl::Condition(this, &Answers::EnoughLocked), absl::Seconds(10));
    EXPECT_EQ(answers_.size(), count);
    return answers_;
  }
  size_t count() {
    absl::MutexLock lock(&mu_);
    return answers_.size();
  }

 private:
  bool EnoughLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return answers_.size() >= wanted_; }
  absl::Mutex mu_;
  size_t wanted_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<absl::StatusOr<Committed>> answers_ ABSL_GUARDED_BY(mu_);
};

class SequencerTest : public ::testing::Test {
 protected:
  SequencerTest() { Restart(Sequencer::Options()); }

  void Restart(Sequencer::Options options) {
    sequencer_.reset();
    options.engine = &engine_;
    options.clock = &clock_;
    options.on_fatal = [this](const absl::Status& status) {
      fatal_ = status;
      ++fatal_calls_;
    };
    options.on_commit = [this](int64_t revision, size_t commands, absl::Duration) {
      absl::MutexLock lock(&mu_);
      commits_.push_back(absl::StrCat(revision, ":", commands));
    };
    options.on_command = [this](absl::string_view command, absl::StatusCode code) {
      absl::MutexLock lock(&mu_);
      commands_.push_back(absl::StrCat(command, ":", absl::StatusCodeToString(code)));
    };
    sequencer_ = Sequencer::Start(std::move(options)).value();
  }
  // A commit is under way (held), so what is submitted now gathers behind it.
  void HoldOne(Answers& answers) {
    engine_.HoldCommits();
    sequencer_->Submit(PutLabel("held", "1"), answers.Next());
    ASSERT_TRUE(engine_.WaitForHeld(1));
  }
  std::vector<std::string> commits() {
    absl::MutexLock lock(&mu_);
    return commits_;
  }
  std::vector<std::string> commands() {
    absl::MutexLock lock(&mu_);
    return commands_;
  }
  std::vector<std::string> Labels() {
    return ScanKeys(*engine_.NewSnapshot().value(), Table::kLabels, "", "", 10000);
  }

  ManualClock clock_;
  instruments::FaultEngine engine_{MemoryEngine::Open().value()};
  absl::Mutex mu_;
  std::vector<std::string> commits_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> commands_ ABSL_GUARDED_BY(mu_);
  absl::Status fatal_;
  std::atomic<int> fatal_calls_ = 0;
  std::unique_ptr<Sequencer> sequencer_;
};

TEST_F(SequencerTest, NeedsEngineAndClock) {
  EXPECT_EQ(Sequencer::Start(Sequencer::Options()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(SequencerTest, RunsOne) {
  const auto committed = sequencer_->Run(PutLabel("a", "1"));
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(committed->revision, 1);
  EXPECT_THAT(Labels(), ElementsAre("a"));
}

TEST_F(SequencerTest, GroupsWhatWaitsIntoOneCommit) {
  Answers answers;
  HoldOne(answers);
  for (int i = 0; i < 50; ++i) sequencer_->Submit(PutLabel(absl::StrCat(i), "1"), answers.Next());
  EXPECT_EQ(answers.count(), 0u) << "nothing is answered before it is durable";
  engine_.ReleaseCommits();
  const auto all = answers.Wait(51);
  EXPECT_EQ(all[0]->revision, 1);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(all[i + 1]->revision, 2);
    EXPECT_EQ(all[i + 1]->index, static_cast<uint32_t>(i)) << "in the order of submission";
  }
  EXPECT_EQ(engine_.commits(), 2);
  sequencer_->Stop();
  EXPECT_THAT(commits(), ElementsAre("1:1", "2:50"));
}

TEST_F(SequencerTest, ABatchIsBounded) {
  Sequencer::Options options;
  options.max_batch = 10;
  Restart(options);
  Answers answers;
  HoldOne(answers);
  for (int i = 0; i < 25; ++i) sequencer_->Submit(PutLabel(absl::StrCat(i), "1"), answers.Next());
  engine_.ReleaseCommits();
  answers.Wait(26);
  sequencer_->Stop();
  EXPECT_THAT(commits(), ElementsAre("1:1", "2:10", "3:10", "4:5"));
}

// Whoever is judged by what such a command changes is judged after its commit.
TEST_F(SequencerTest, WhatEndsABatchIsItsLast) {
  class Last : public Command {
   public:
    absl::string_view name() const override { return "last"; }
    absl::Status Run(const View&, const Slot&, Effects& effects) override {
      effects.PutRaw(Table::kLabels, "last", "1");
      return absl::OkStatus();
    }
    bool ends_batch() const override { return true; }
  };
  Answers answers;
  HoldOne(answers);
  for (int i = 0; i < 3; ++i) sequencer_->Submit(PutLabel(absl::StrCat(i), "1"), answers.Next());
  sequencer_->Submit(std::make_shared<Last>(), answers.Next());
  sequencer_->Submit(std::make_shared<Last>(), answers.Next());
  for (int i = 3; i < 5; ++i) sequencer_->Submit(PutLabel(absl::StrCat(i), "1"), answers.Next());
  engine_.ReleaseCommits();
  answers.Wait(8);
  sequencer_->Stop();
  EXPECT_THAT(commits(), ElementsAre("1:1", "2:4", "3:1", "4:2"));
}

TEST_F(SequencerTest, AFullQueueRefusesAtOnce) {
  Sequencer::Options options;
  options.max_queued = 3;
  Restart(options);
  Answers answers, refused;
  HoldOne(answers);
  for (int i = 0; i < 3; ++i) sequencer_->Submit(PutLabel(absl::StrCat(i), "1"), answers.Next());
  sequencer_->Submit(PutLabel("too many", "1"), refused.Next());
  ASSERT_EQ(refused.count(), 1u) << "on the caller's thread";
  const absl::Status status = refused.Wait(1)[0].status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(base::ReasonOf(status), "OVERLOADED");
  EXPECT_TRUE(base::DetailsOf(status).retry_after.has_value());
  engine_.ReleaseCommits();
  answers.Wait(4);
  EXPECT_THAT(Labels(), ElementsAre("0", "1", "2", "held"));
}

TEST_F(SequencerTest, AnErrorTouchesNoOther) {
  Answers answers;
  HoldOne(answers);
  sequencer_->Submit(PutLabel("a", "1"), answers.Next());
  sequencer_->Submit(Do([](const View&, const Slot&, Effects& effects) {
                       effects.PutRaw(Table::kLabels, "no", "1");
                       return absl::NotFoundError("no such thing");
                     }),
                     answers.Next());
  sequencer_->Submit(PutLabel("b", "1"), answers.Next());
  engine_.ReleaseCommits();
  const auto all = answers.Wait(4);
  EXPECT_TRUE(all[1].ok());
  EXPECT_EQ(all[2].status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(all[3].ok());
  EXPECT_THAT(commands(), ElementsAre("lambda:OK", "lambda:OK", "lambda:NOT_FOUND", "lambda:OK"))
      << "each is told of once, by its name";
  EXPECT_THAT(Labels(), ElementsAre("a", "b", "held"));
}

TEST_F(SequencerTest, WithoutEffectsThereIsNoCommit) {
  ASSERT_TRUE(sequencer_->Run(PutLabel("a", "1")).ok());
  const auto look = Do([](const View&, const Slot&, Effects&) { return absl::OkStatus(); });
  EXPECT_EQ(sequencer_->Run(look)->revision, 1);
  EXPECT_EQ(engine_.commits(), 1);
}

// Counts in the store; keeps what it saw for its caller, as commands do.
class Increment : public Command {
 public:
  absl::string_view name() const override { return "increment"; }
  absl::Status Run(const View& view, const Slot& slot, Effects& effects) override {
    ++runs;
    result = view.Get(Table::kLabels, "n").value().value_or("") + "|";
    effects.PutRaw(Table::kLabels, "n", result);
    return absl::OkStatus();
  }
  int runs = 0;
  std::string result;
};

TEST_F(SequencerTest, RunsAgainWhereAnotherWasFirst) {
  ASSERT_TRUE(sequencer_->Run(std::make_shared<Increment>()).ok());
  engine_.LoseNextRace({Mutation{Table::kLabels, "n", "rival"}});
  engine_.LoseNextRace({Mutation{Table::kLabels, "n", "second"}});
  const auto command = std::make_shared<Increment>();
  const auto committed = sequencer_->Run(command);
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(committed->revision, 4) << "after two rivals";
  EXPECT_EQ(command->runs, 3);
  EXPECT_EQ(command->result, "second|") << "the last run's result, nothing of the others";
  EXPECT_EQ(fatal_calls_, 0);
}

TEST_F(SequencerTest, AFailedWriteIsTheEnd) {
  for (const bool written : {false, true}) {
    Answers answers;
    HoldOne(answers);
    sequencer_->Submit(PutLabel("queued", "1"), answers.Next());
    if (written) {
      engine_.FailNextCommitUncertainly(absl::UnavailableError("disk"));
    } else {
      engine_.FailNextCommit(absl::UnavailableError("disk"));
    }
    // The held commit has not taken its fault yet: it does when it goes on.
    engine_.ReleaseCommits();
    for (const auto& answer : answers.Wait(2)) {
      EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable);
      EXPECT_EQ(base::ReasonOf(answer.status()), "STORE_FAILED");
    }
    EXPECT_EQ(sequencer_->Run(PutLabel("later", "1")).status().code(),
              absl::StatusCode::kUnavailable);
    EXPECT_EQ(fatal_calls_, 1);
    EXPECT_EQ(fatal_.message(), "disk");
    EXPECT_EQ(Labels().size(), written ? 1u : 0u) << "nothing was written after the failure";
    fatal_calls_ = 0;
    Restart(Sequencer::Options());
  }
}

TEST_F(SequencerTest, AFailedReadEndsOnlyItsBatch) {
  engine_.FailNextSnapshot(absl::UnavailableError("busy"));
  const auto refused = sequencer_->Run(PutLabel("a", "1"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::ReasonOf(refused.status()), "STORE_READ_FAILED");
  EXPECT_TRUE(sequencer_->Run(PutLabel("b", "1")).ok());
  EXPECT_EQ(fatal_calls_, 0);
}

TEST_F(SequencerTest, DamageIsNoReasonToTryAgain) {
  engine_.FailNextSnapshot(base::Refuse(absl::StatusCode::kDataLoss, "STORE_CORRUPT", "damaged"));
  const auto refused = sequencer_->Run(PutLabel("a", "1"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(base::ReasonOf(refused.status()), "STORE_CORRUPT");
  EXPECT_EQ(fatal_calls_, 0);
}

TEST_F(SequencerTest, StopFinishesWhatIsQueuedThenRefuses) {
  Answers answers;
  HoldOne(answers);
  for (int i = 0; i < 5; ++i) sequencer_->Submit(PutLabel(absl::StrCat(i), "1"), answers.Next());
  std::thread stopper([&] { sequencer_->Stop(); });
  engine_.ReleaseCommits();
  stopper.join();
  for (const auto& answer : answers.Wait(6)) EXPECT_TRUE(answer.ok());
  const auto refused = sequencer_->Run(PutLabel("late", "1"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::ReasonOf(refused.status()), "STOPPING");
  sequencer_->Stop();
}

TEST_F(SequencerTest, HaltRefusesWhatIsQueuedAndWhatComes) {
  Answers answers;
  HoldOne(answers);
  sequencer_->Submit(PutLabel("queued", "1"), answers.Next());
  sequencer_->Halt(
      base::Refuse(absl::StatusCode::kFailedPrecondition, "STORE_ROLLED_BACK", "it was"));
  EXPECT_EQ(base::ReasonOf(sequencer_->Run(PutLabel("late", "1")).status()), "STORE_ROLLED_BACK");
  engine_.ReleaseCommits();
  const auto all = answers.Wait(2);
  EXPECT_TRUE(all[0].ok());
  EXPECT_EQ(base::ReasonOf(all[1].status()), "STORE_ROLLED_BACK");
  EXPECT_EQ(fatal_calls_, 0);
}

TEST_F(SequencerTest, TheLastWritesStartIsTakenBeforeIt) {
  EXPECT_EQ(sequencer_->last_write_start(), base::BootTime::InfinitePast());
  const base::BootTime before = clock_.Now();
  Answers answers;
  HoldOne(answers);
  clock_.Advance(absl::Seconds(5));  // the write takes this long
  engine_.ReleaseCommits();
  answers.Wait(1);
  EXPECT_EQ(sequencer_->last_write_start(), before);
}

TEST_F(SequencerTest, ManyThreadsNoGapOneChain) {
  constexpr int kThreads = 4;
  constexpr int kEach = 100;
  std::vector<int64_t> revisions;
  absl::Mutex mu;
  auto tail = engine_.TailFrom(0, [&](const TailEntry& entry) {
    absl::MutexLock lock(&mu);
    revisions.push_back(entry.revision);
  });
  ASSERT_TRUE(tail.ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      int64_t last = 0;
      for (int i = 0; i < kEach; ++i) {
        const auto committed = sequencer_->Run(PutLabel(absl::StrCat(t, "-", i), "1"));
        ASSERT_TRUE(committed.ok());
        EXPECT_GT(committed->revision, last);
        last = committed->revision;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  sequencer_->Stop();
  const auto snapshot = engine_.NewSnapshot().value();
  EXPECT_EQ(instruments::VerifyAuditChain(*snapshot)->entries, kThreads * kEach);
  EXPECT_EQ(Labels().size(), static_cast<size_t>(kThreads * kEach));
  absl::MutexLock lock(&mu);
  ASSERT_EQ(static_cast<int64_t>(revisions.size()), snapshot->revision());
  for (size_t i = 0; i < revisions.size(); ++i)
    EXPECT_EQ(revisions[i], static_cast<int64_t>(i + 1));
}

// An engine that says of each commit that it became a later revision than it did.
class LyingEngine : public instruments::FaultEngine {
 public:
  using instruments::FaultEngine::FaultEngine;
  absl::StatusOr<CommitResult> Commit(const CommitRequest& request) override {
    ASSIGN_OR_RETURN(CommitResult result, instruments::FaultEngine::Commit(request));
    ++result.head;
    return result;
  }
};

TEST(SequencerDeathTest, ACommitUnderAnotherRevisionEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        ManualClock clock;
        LyingEngine engine(MemoryEngine::Open().value());
        Sequencer::Options options;
        options.engine = &engine;
        options.clock = &clock;
        const auto sequencer = Sequencer::Start(std::move(options)).value();
        sequencer->Run(PutLabel("a", "1")).IgnoreError();
      },
      testing::ExitedWithCode(base::kExitInvariantBroken),
      "a commit's revision is the head's plus one");
}

}  // namespace
}  // namespace tollgate::storage

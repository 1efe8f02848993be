// What the tests of holds share: a validator, its service and its holder, all in hand.
#ifndef TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_HOLDS_FIXTURE_H_
#define TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_HOLDS_FIXTURE_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/proto_time.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/edge_fixture.h"
#include "token/digest.h"
#include "validator/core/holds.h"
#include "validator/core/validator.h"

namespace tollgate::validator {

// What a holder was told, since it was asked last.
struct Told {
  std::map<uint64_t, tollgate::v1::VerdictReason> opened;  // UNSPECIFIED: admitted
  std::map<uint64_t, absl::Duration> good_for;
  std::map<uint64_t, tollgate::v1::VerdictReason> ended;
  std::vector<absl::Duration> renewed;
  std::vector<std::string> order;
  bool finished = false;
};

class HoldsTest : public ::testing::Test {
 protected:
  static constexpr int64_t kServiceSeconds = 2'000'000'000;  // what Pongs say

  HoldsTest() : random_(5) {
    options_.follower.validator_id = "edge-1";
    options_.cache = {64, 8, 64};
  }
  void Make() {
    auto made = Validator::Create(options_, clock_, random_,
                                  [this](const tollgate::v1::ResolveRequest& request, auto answer) {
                                    Asked asked{request, std::move(answer)};
                                    if (answers_) return Answer(asked);
                                    asked_.push_back(std::move(asked));
                                  });
    ASSERT_TRUE(made.ok()) << made.status();
    validator_ = std::move(*made);
    stream_ = validator_->Start().stream;
    validator_->StreamConnected(stream_);
  }
  // A validator at (e1, 10) with a lease of 30 s from now, and one holder.
  void MakeLive() {
    Make();
    Say(WelcomeMessage("e1", 10, true));
    GrantLease(30);
    holder_ = validator_->holds().Join([this] { ++wakes_; }).value();
  }
  void GrantLease(double lease_s, int64_t service_s = kServiceSeconds) {
    Say(PongMessage(sequence_, revision_, lease_s, service_s));
  }
  // Lets `for_` pass, as a link does: Tick and Settle.
  void Pass(absl::Duration for_) {
    clock_.Advance(for_);
    Note(validator_->Tick());
    validator_->Settle();
  }
  // The same by the second, with a service that is there; no word to a holder follows from that.
  void Stay(absl::Duration for_) {
    for (; for_ > absl::ZeroDuration(); for_ -= absl::Seconds(1)) {
      Pass(std::min(for_, absl::Duration(absl::Seconds(1))));
      GrantLease(300);
    }
  }
  void Say(const tollgate::v1::FollowResponse& m) {
    Note(validator_->StreamMessage(stream_, m));
    validator_->Settle();
  }
  void Note(const FollowerActions& a) {
    wake_at_ = a.wake_at;
    for (const auto& m : a.send) {
      if (m.has_ping()) {
        sequence_ = m.ping().sequence();
        pings_.push_back(m.ping());
      }
      if (m.has_usage()) reports_.push_back(m.usage());
    }
  }
  void Event(const tollgate::v1::Event& event) { Say(EventsMessage(++revision_, {event})); }

  // A token of the store's, under a name of the test's.
  const std::string& Token(const std::string& name) {
    auto& token = tokens_[name];
    if (token.empty()) {
      const auto minted = token::TokenFormat().Mint(token::TokenKind::kWorkspace, random_);
      token = std::string(minted.token_string.RevealSecret());
      ids_[name] = minted.public_id;
      names_[std::string(token::EdgeDigest::Of(token).bytes())] = name;
      grants_[name] = GrantFor("acme", minted.public_id);
    }
    return token;
  }
  struct Asked {
    tollgate::v1::ResolveRequest request;
    std::function<void(absl::StatusOr<tollgate::v1::ResolveResponse>)> answer;
  };
  // The service, as its store is now.
  void Answer(const Asked& asked) {
    ++questions_;
    tollgate::v1::ResolveResponse response;
    response.set_epoch(epoch_);
    response.set_revision(revision_);
    const auto found = names_.find(asked.request.edge_digest());
    if (found == names_.end() || grants_.count(found->second) == 0) {
      response.set_unknown(true);
    } else {
      *response.mutable_grant() = grants_[found->second];
    }
    asked.answer(response);
  }
  void AnswerAll() {
    for (const Asked& asked : std::exchange(asked_, {})) Answer(asked);
  }
  void FailAll() {
    for (const Asked& asked : std::exchange(asked_, {})) {
      asked.answer(absl::UnavailableError("gone"));
    }
  }

  absl::Status Open(uint64_t id, const std::string& token,
                    const token::Requirement& requirement = {}, Holds::HolderRef holder = nullptr) {
    return validator_->OpenHold(holder != nullptr ? holder : holder_, id, token,
                                std::make_shared<const token::Requirement>(requirement),
                                [](const Decision& d, tollgate::v1::ValidateResponse* words) {
                                  words->set_verdict(d.verdict);
                                  words->set_reason(d.reason);
                                });
  }
  Told Read(Holds::HolderRef holder = nullptr) {
    Told told;
    while (true) {
      tollgate::v1::HoldResponse m;
      switch (validator_->holds().NextMessage(holder != nullptr ? holder : holder_, &m)) {
        case Holds::Next::kNothing:
          return told;
        case Holds::Next::kFinished:
          told.finished = true;
          return told;
        case Holds::Next::kMessage:
          break;
      }
      if (m.has_opened()) {
        told.opened[m.opened().hold_id()] = m.opened().verdict().reason();
        told.good_for[m.opened().hold_id()] = base::FromProto(m.opened().good_for());
        told.order.push_back("opened");
      } else if (m.has_ended()) {
        told.ended[m.ended().hold_id()] = m.ended().reason();
        EXPECT_FALSE(m.ended().description().empty());
        told.order.push_back("ended");
      } else {
        told.renewed.push_back(base::FromProto(m.good_for().length()));
        told.order.push_back("good_for");
      }
    }
  }
  // For how long the holder's holds are good.
  absl::Duration Renew() {
    EXPECT_TRUE(validator_->holds().Renew(holder_, ++renewals_).ok());
    const Told told = Read();
    EXPECT_EQ(told.renewed.size(), 1u);
    return told.renewed.empty() ? -absl::Seconds(1) : told.renewed[0];
  }
  HoldTotals Totals() { return validator_->holds().Totals(); }
  int64_t Ended(tollgate::v1::VerdictReason reason) {
    return Totals().ended[static_cast<size_t>(reason)];
  }

  HandClock clock_;
  SharedSeededRandom random_;
  ValidatorOptions options_;
  bool answers_ = true;  // the service does, at once
  std::vector<Asked> asked_;
  int questions_ = 0;  // that were answered
  std::string epoch_ = "e1";
  int64_t revision_ = 10;
  std::map<std::string, std::string> tokens_, ids_, names_;
  std::map<std::string, tollgate::v1::Grant> grants_;
  std::unique_ptr<Validator> validator_;
  Holds::HolderRef holder_;
  int wakes_ = 0;
  uint64_t renewals_ = 0;
  uint64_t stream_ = 0;
  uint64_t sequence_ = 0;
  base::BootTime wake_at_;
  std::vector<tollgate::v1::Usage> reports_;
  std::vector<tollgate::v1::Ping> pings_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_HOLDS_FIXTURE_H_

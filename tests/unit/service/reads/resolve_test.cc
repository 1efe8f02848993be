// What is answered by digest, from a store made by hand.
#include "service/reads/resolve.h"

#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "storage/tombstone.h"
#include "token/digest.h"

namespace tollgate::service {
namespace {

constexpr char kEpoch[] = "e1";

// Puts the records that a test wants.
class Put : public storage::Command {
 public:
  explicit Put(std::function<void(storage::Effects&)> put) : put_(std::move(put)) {}
  absl::string_view name() const override { return "put"; }
  absl::Status Run(const storage::View&, const storage::Slot&, storage::Effects& effects) override {
    put_(effects);
    return absl::OkStatus();
  }

 private:
  const std::function<void(storage::Effects&)> put_;
};

class ResolveTest : public ::testing::Test {
 protected:
  ResolveTest() {
    request_.set_validator_id("edge-1");
    request_.set_edge_digest(std::string(edge_.bytes()));
    request_.set_epoch(kEpoch);
    token_.set_workspace("acme");
    token_.set_token_id("0123456789abcdef");
    token_.set_owner("ada");
    token_.add_scopes("a:read");
  }
  void Commit(std::function<void(storage::Effects&)> put) {
    Put command(std::move(put));
    storage::BatchOutcome outcome =
        *storage::RunBatch(**engine_->NewSnapshot(), absl::UnixEpoch(), {&command});
    ASSERT_TRUE(outcome.results[0].ok()) << outcome.results[0].status();
    ASSERT_TRUE(engine_->Commit(outcome.request)->committed);
  }
  void PutDigest(storage::Effects& effects) const {
    store::v1::DigestRecord digest;
    digest.set_workspace(token_.workspace());
    digest.set_token_id(token_.token_id());
    effects.Put(storage::Table::kDigests, std::string(keyring_.Digest(edge_).bytes()), digest);
  }
  void PutToken(storage::Effects& effects) const {
    effects.Put(storage::Table::kTokens, storage::TokenKey(token_.workspace(), token_.token_id()),
                token_);
  }
  absl::StatusOr<v1::ResolveResponse> Resolve() {
    return ResolveFrom(**engine_->NewSnapshot(), keyring_, history_, request_);
  }

  static History SomeHistory() {
    History history;
    history.epoch = kEpoch;
    history.terms.emplace_back().set_term("t1");
    return history;
  }

  const History history_ = SomeHistory();
  base::SeededRandom random_{3};
  const token::Keyring keyring_ = token::Keyring::Generate(random_);
  const token::EdgeDigest edge_ = token::EdgeDigest::Of("tgw_whatever");
  std::unique_ptr<storage::MemoryEngine> engine_ = *storage::MemoryEngine::Open();
  store::v1::TokenRecord token_;
  v1::ResolveRequest request_;
};

TEST_F(ResolveTest, APurgedTokenIsNotUnknownButSaysHowItEnded) {
  token_.mutable_ending()->set_kind(store::v1::Ending::KIND_EXPIRED);
  token_.set_create_revision(1);
  Commit([&](storage::Effects& effects) {
    effects.Put(storage::Table::kDigests, std::string(keyring_.Digest(edge_).bytes()),
                storage::PurgedDigest(token_));
  });
  const absl::StatusOr<v1::ResolveResponse> response = Resolve();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_FALSE(response->unknown());
  EXPECT_EQ(response->grant().state(), v1::TOKEN_STATE_EXPIRED);
  EXPECT_EQ(response->grant().token(), "workspaces/acme/tokens/0123456789abcdef");
  EXPECT_EQ(response->grant().create_revision(), 1);
  EXPECT_EQ(response->grant().scopes_size(), 0);
}

TEST_F(ResolveTest, R12TheAnswerNamesItsEpochAndRevision) {
  Commit([&](storage::Effects& effects) {
    PutDigest(effects);
    PutToken(effects);
  });
  const absl::StatusOr<v1::ResolveResponse> response = Resolve();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->epoch(), kEpoch);
  EXPECT_EQ(response->term(), "t1");
  EXPECT_EQ(response->revision(), (*engine_->NewSnapshot())->revision());
  EXPECT_FALSE(response->unknown());
  EXPECT_EQ(response->grant().token_id(), token_.token_id());
}

TEST_F(ResolveTest, TheWorkspacesPolicySaysWhatAnEdgeIsToldBesides) {
  (*token_.mutable_annotations())["team"] = "payments";
  (*token_.mutable_annotations())["note"] = "for people";
  Commit([&](storage::Effects& effects) {
    PutDigest(effects);
    PutToken(effects);
  });
  EXPECT_TRUE(Resolve()->grant().annotations().empty());
  store::v1::WorkspaceRecord workspace;
  workspace.set_workspace("acme");
  workspace.mutable_policy()->add_edge_annotations("team");
  workspace.mutable_policy()->set_report_attempt_addresses(true);
  Commit([&](storage::Effects& effects) {
    effects.Put(storage::Table::kWorkspaces, "acme", workspace);
  });
  const absl::StatusOr<v1::ResolveResponse> response = Resolve();
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->grant().annotations().size(), 1u);
  EXPECT_EQ(response->grant().annotations().at("team"), "payments");
  EXPECT_TRUE(response->grant().report_attempt_addresses());
}

TEST_F(ResolveTest, WhatIsNotThereIsUnknown) {
  const absl::StatusOr<v1::ResolveResponse> response = Resolve();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->unknown());
}

TEST_F(ResolveTest, I7ADigestWithoutItsTokenAccusesNobody) {
  Commit([&](storage::Effects& effects) { PutDigest(effects); });
  EXPECT_EQ(Resolve().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ResolveTest, R12NeverBelowWhatTheValidatorHasApplied) {
  const int64_t head = (*engine_->NewSnapshot())->revision();
  request_.set_applied_revision(head);
  EXPECT_TRUE(Resolve().ok());
  request_.set_applied_revision(head + 1);
  EXPECT_EQ(base::ReasonOf(Resolve().status()), "BEHIND");
  // Of another epoch it is answered: the answer's epoch tells the validator.
  request_.set_epoch("e0");
  EXPECT_TRUE(Resolve().ok());
}

TEST_F(ResolveTest, BadQuestionsAreRefused) {
  request_.set_applied_revision(-1);
  EXPECT_EQ(base::ReasonOf(Resolve().status()), "REVISION_MALFORMED");
  request_.set_edge_digest("short");
  EXPECT_EQ(base::ReasonOf(Resolve().status()), "DIGEST_MALFORMED");
  request_.set_validator_id("no such id!");
  EXPECT_EQ(base::ReasonOf(Resolve().status()), "VALIDATOR_ID_MALFORMED");
}

}  // namespace
}  // namespace tollgate::service

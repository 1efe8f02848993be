// What a validator says of last admissions with its acknowledgements, and what it says it lost.
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/edge_fixture.h"
#include "tests/unit/validator/core/follower_fixture.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::FollowResponse;

TEST_F(FollowerTest, EvidenceGoesUntilAPongSaysThatItArrived) {
  Follow();
  state_.admitted = true;
  auto a = Send(EventsMessage(11, {Changed("w", "a")}));
  ASSERT_EQ(a.send.at(0).ping().dropped_size(), 1);
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(Tick().send.at(0).ping().dropped_size(), 0);  // once a stream
  Reconnect();
  Open();
  a = Send(WelcomeMessage("e1", 11, false));
  ASSERT_EQ(a.send.at(0).ping().dropped_size(), 1);  // the first stream may have lost it
  Send(PongMessage(1, 11, 30));
  Reconnect();
  Open();
  EXPECT_EQ(Send(WelcomeMessage("e1", 11, false)).send.at(0).ping().dropped_size(), 0);
}

// One message with so many revisions of one event each, from `first` on.
FollowResponse ManyEvents(int64_t first, int count) {
  FollowResponse m;
  for (int i = 0; i < count; ++i) {
    auto* revision = m.mutable_events()->add_revisions();
    revision->set_revision(first + i);
    *revision->add_events() = Changed("w", absl::StrCat("t", first + i));
  }
  return m;
}

TEST_F(FollowerTest, NoRevisionIsAcknowledgedBeforeTheLastOfItsEvidence) {
  Follow();
  state_.admitted = true;
  const auto a = Send(ManyEvents(11, 2500));
  ASSERT_EQ(a.send.size(), 3u);
  std::set<std::string> told;
  for (int i = 0; i < 3; ++i) {
    const auto& ping = a.send[i].ping();
    EXPECT_EQ(ping.sequence(), 2u + i);
    EXPECT_EQ(ping.dropped_size(), i < 2 ? 1000 : 500);
    EXPECT_EQ(ping.applied_revision(), i < 2 ? 10 + 1000 * (i + 1) : 2510);
    EXPECT_EQ(ping.lost_from_revision(), 0);
    EXPECT_EQ(ping.cached_tokens(), 42);
    for (const auto& dropped : ping.dropped()) told.insert(dropped.token_id());
  }
  EXPECT_EQ(told.size(), 2500u);
  // A Pong to the second of them says nothing of the third.
  Send(PongMessage(3, 2510, 30));
  Reconnect();
  Open();
  const auto again = Send(WelcomeMessage("e1", 2510, false));
  ASSERT_EQ(again.send.size(), 1u);
  EXPECT_EQ(again.send[0].ping().dropped_size(), 500);
}

TEST_F(FollowerTest, EvidenceOfOneRevisionHoldsItsAcknowledgementBack) {
  Follow();
  state_.admitted = true;
  FollowResponse m;
  auto* revision = m.mutable_events()->add_revisions();
  revision->set_revision(11);
  for (int i = 0; i < 1001; ++i) *revision->add_events() = Changed("w", absl::StrCat("t", i));
  const auto a = Send(m);
  ASSERT_EQ(a.send.size(), 2u);
  EXPECT_EQ(a.send[0].ping().applied_revision(), 10);
  EXPECT_EQ(a.send[1].ping().applied_revision(), 11);
}

TEST_F(FollowerTest, WhatEvidenceIsLostIsToldUntilAPongSaysSo) {
  Follow();
  state_.admitted = true;
  auto a = Send(ManyEvents(11, 5000));
  ASSERT_EQ(a.send.size(), 5u);  // 4096 of them
  // The oldest 904: in the first ping, before anything is acknowledged of them.
  EXPECT_EQ(a.send[0].ping().lost_from_revision(), 11);
  EXPECT_EQ(a.send[0].ping().lost_to_revision(), 914);
  EXPECT_EQ(a.send[0].ping().dropped(0).revision(), 915);
  EXPECT_EQ(a.send[1].ping().lost_from_revision(), 0);
  EXPECT_EQ(a.send[4].ping().applied_revision(), 5010);
  Reconnect();
  Open();
  a = Send(WelcomeMessage("e1", 5010, false));
  ASSERT_EQ(a.send.size(), 5u);
  EXPECT_EQ(a.send[0].ping().lost_from_revision(), 11);
  EXPECT_EQ(a.send[0].ping().lost_to_revision(), 914);
  Send(PongMessage(5, 5010, 30));
  Reconnect();
  Open();
  a = Send(WelcomeMessage("e1", 5010, false));
  ASSERT_EQ(a.send.size(), 1u);
  EXPECT_EQ(a.send[0].ping().dropped_size(), 0);
  EXPECT_EQ(a.send[0].ping().lost_from_revision(), 0);
}

TEST_F(FollowerTest, WhatAResetPassedOverIsLostEvidence) {
  Follow();  // at 10
  Send(PongMessage(1, 12, 30));
  Reconnect();
  Open();
  auto a = Send(WelcomeMessage("e1", 40, true));
  EXPECT_EQ(a.send.at(0).ping().lost_from_revision(), 13);
  EXPECT_EQ(a.send.at(0).ping().lost_to_revision(), 40);
  // Of another history nothing was to be said.
  Reconnect();
  Open();
  a = Send(WelcomeMessage("e2", 50, true));
  EXPECT_EQ(a.send.at(0).ping().lost_from_revision(), 0);
  // Forgotten by itself, and found to be the same.
  FollowResponse unknown;
  Send(unknown);
  Reconnect();
  Open();
  a = Send(WelcomeMessage("e2", 60, true));
  EXPECT_EQ(a.send.at(0).ping().lost_from_revision(), 51);
  EXPECT_EQ(a.send.at(0).ping().lost_to_revision(), 60);
}

TEST_F(FollowerTest, AnEventOfAnUnknownKindIsLostEvidence) {
  Follow();
  FollowResponse m;
  m.mutable_events()->add_revisions()->set_revision(11);
  m.mutable_events()->mutable_revisions(0)->add_events();
  const auto a = Send(m);
  EXPECT_EQ(a.send.at(0).ping().lost_from_revision(), 11);
  EXPECT_EQ(a.send.at(0).ping().lost_to_revision(), 11);
}

}  // namespace
}  // namespace tollgate::validator

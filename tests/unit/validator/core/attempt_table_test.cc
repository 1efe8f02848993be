#include "validator/core/attempt_table.h"

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/allocation_count.h"

namespace tollgate::validator {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using tollgate::v1::VERDICT_REASON_EXPIRED;
using tollgate::v1::VERDICT_REASON_REVOKED;
using tollgate::v1::VerdictReason;

std::string Id(int i) {
  const std::string number = absl::StrCat(i);
  return std::string(16 - number.size(), 'T') + number;
}

std::vector<TokenAttempts> Collected(AttemptTable& table) {
  std::vector<TokenAttempts> out;
  table.Collect(&out);
  return out;
}

TEST(AttemptTableTest, CountsByTokenAndReasonWithFirstAndLastTime) {
  AttemptTable table;
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 5000);
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 6000);
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 7000);
  table.Add(std::string(63, 'w'), Id(1), VERDICT_REASON_EXPIRED, 8000);
  std::map<int, TokenAttempts> by_reason;
  for (TokenAttempts& one : Collected(table)) by_reason[one.reason] = one;
  ASSERT_THAT(by_reason, SizeIs(2));
  const TokenAttempts& revoked = by_reason[VERDICT_REASON_REVOKED];
  EXPECT_EQ(revoked.workspace, "acme");
  EXPECT_EQ(revoked.token_id, Id(1));
  EXPECT_EQ(revoked.count, 3);
  EXPECT_EQ(revoked.first_ms, 5000);
  EXPECT_EQ(revoked.last_ms, 7000);
  EXPECT_EQ(by_reason[VERDICT_REASON_EXPIRED].workspace, std::string(63, 'w'));
  EXPECT_EQ(table.left_out(), 0);
}

TEST(AttemptTableTest, ACollectionHandsOutWhatCameSinceTheLast) {
  AttemptTable table;
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 5000);
  EXPECT_THAT(Collected(table), SizeIs(1));
  EXPECT_THAT(Collected(table), IsEmpty());
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 9000);
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 9500);
  auto again = Collected(table);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].count, 2);
  EXPECT_EQ(again[0].first_ms, 9000);
  // The same slot, not freed in between.
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 9700);
  again = Collected(table);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].first_ms, 9700);
  EXPECT_EQ(again[0].last_ms, 9700);
}

TEST(AttemptTableTest, WhatFindsNoSlotIsLeftOutAndCountedAndRoomComesBack) {
  AttemptTable table(8);
  for (int i = 0; i < 11; ++i) table.Add("acme", Id(i), VERDICT_REASON_REVOKED, 5000);
  EXPECT_EQ(table.left_out(), 3);
  EXPECT_THAT(Collected(table), SizeIs(8));
  // Tokens that are tried no more free their slots.
  EXPECT_THAT(Collected(table), IsEmpty());
  for (int i = 20; i < 28; ++i) table.Add("acme", Id(i), VERDICT_REASON_REVOKED, 6000);
  EXPECT_EQ(table.left_out(), 3);
  EXPECT_THAT(Collected(table), SizeIs(8));
  // A name that no token has.
  table.Add("acme", "short", VERDICT_REASON_REVOKED, 6000);
  table.Add(std::string(80, 'w'), Id(1), VERDICT_REASON_REVOKED, 6000);
  EXPECT_EQ(table.left_out(), 5);
}

base::IpAddress From(int i) { return base::IpAddress::FromText(absl::StrCat("192.0.2.", i)); }

TEST(AttemptTableTest, AddressesComeWithTheirAttemptsTheLatestFirst) {
  AttemptTable table;
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 5000, From(1));
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 6000, From(2));
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 7000, From(1));
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 8000);
  table.Add("acme", Id(1), VERDICT_REASON_EXPIRED, 9000, From(3));
  table.Add("acme", Id(2), VERDICT_REASON_REVOKED, 9000);
  std::map<std::pair<std::string, int>, TokenAttempts> all;
  for (TokenAttempts& one : Collected(table)) all[{one.token_id, one.reason}] = one;
  ASSERT_THAT(all, SizeIs(3));
  const TokenAttempts& revoked = all[{Id(1), VERDICT_REASON_REVOKED}];
  EXPECT_EQ(revoked.count, 4);
  ASSERT_THAT(revoked.from, SizeIs(2));
  EXPECT_EQ(revoked.from[0].address, From(1));
  EXPECT_EQ(revoked.from[0].count, 2);
  EXPECT_EQ(revoked.from[0].last_ms, 7000);
  EXPECT_EQ(revoked.from[1].address, From(2));
  ASSERT_THAT((all[{Id(1), VERDICT_REASON_EXPIRED}].from), SizeIs(1));
  EXPECT_THAT((all[{Id(2), VERDICT_REASON_REVOKED}].from), IsEmpty());
  EXPECT_THAT(Collected(table), IsEmpty());
  table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 9500);
  EXPECT_THAT(Collected(table)[0].from, IsEmpty()) << "told once";
}

TEST(AttemptTableTest, ManyAddressesTakeNoOtherTokensPlaceAndTheLatestStay) {
  AttemptTable table(8);  // one set
  table.Add("acme", Id(2), VERDICT_REASON_REVOKED, 4000);
  for (int i = 1; i <= 200; ++i) {
    table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 5000 + i, From(i));
  }
  for (int i = 3; i <= 8; ++i) table.Add("acme", Id(i), VERDICT_REASON_REVOKED, 6000);
  EXPECT_EQ(table.left_out(), 0);
  const auto all = Collected(table);
  ASSERT_THAT(all, SizeIs(8));
  for (const TokenAttempts& one : all) {
    if (one.token_id != Id(1)) continue;
    EXPECT_EQ(one.count, 200);
    ASSERT_THAT(one.from, SizeIs(kMostAttemptAddresses));
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(one.from[static_cast<size_t>(i)].address, From(200 - i));
    }
  }
}

TEST(AttemptTableTest, AddressesAreForgottenByWorkspaceAndAttemptsAreNot) {
  AttemptTable table;
  const auto add = [&table] {
    table.Add("acme", Id(1), VERDICT_REASON_REVOKED, 5000, From(1));
    table.Add("globex", Id(2), VERDICT_REASON_REVOKED, 5000, From(2));
  };
  add();
  table.ForgetAddresses("acme");
  auto all = Collected(table);
  ASSERT_THAT(all, SizeIs(2));
  for (const TokenAttempts& one : all) {
    EXPECT_THAT(one.from, SizeIs(one.workspace == "acme" ? 0 : 1));
  }
  add();
  table.ForgetAddresses("");
  all = Collected(table);
  ASSERT_THAT(all, SizeIs(2));
  for (const TokenAttempts& one : all) EXPECT_THAT(one.from, IsEmpty());
}

TEST(AttemptTableTest, CountingAllocatesNothing) {
  AttemptTable table;
  const std::string id = Id(1);
  const int64_t before = AllocationsOnThisThread();
  table.Add("acme", id, VERDICT_REASON_REVOKED, 5000);
  table.Add("acme", id, VERDICT_REASON_REVOKED, 5000);
  for (const char* from : {"192.0.2.1", "2001:db8::1"}) {
    table.Add("acme", id, VERDICT_REASON_REVOKED, 5000, base::IpAddress::FromText(from));
  }
  EXPECT_EQ(AllocationsOnThisThread(), before);
}

// Slots change tenants all the time; what is handed out and what was left out is what was added,
// and nothing is counted for another token.
TEST(AttemptTableTest, NothingIsLostBesideACollection) {
  constexpr int kThreads = 4;
  constexpr int kEach = 20000;
  constexpr int kTokens = 24;
  AttemptTable table(16);
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const int token = (i / 50 + t) % kTokens;
        // The time says whose it is.
        table.Add(absl::StrCat("w", token), Id(token), VERDICT_REASON_REVOKED, 1000 + token,
                  i % 3 == 0 ? From(token * 10 + i % 7) : base::IpAddress());
      }
      --running;
    });
  }
  int64_t sum = 0;
  int64_t strays = 0;
  const auto collect = [&] {
    for (const TokenAttempts& one : Collected(table)) {
      sum += one.count;
      const int token = static_cast<int>(one.last_ms - 1000);
      if (one.token_id != Id(token) || one.workspace != absl::StrCat("w", token) ||
          one.first_ms != one.last_ms) {
        ++strays;
      }
    }
  };
  while (running > 0) collect();
  for (std::thread& thread : threads) thread.join();
  collect();
  EXPECT_EQ(sum + table.left_out(), int64_t{kThreads} * kEach);
  EXPECT_EQ(strays, 0);
}

}  // namespace
}  // namespace tollgate::validator

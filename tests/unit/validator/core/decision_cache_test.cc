#include "validator/core/decision_cache.h"

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/edge_fixture.h"
#include "token/grant.h"

namespace tollgate::validator {
namespace {

using Found = DecisionCache::Found;

std::string IdOf(int n) { return absl::StrFormat("id%014d", n); }

class DecisionCacheTest : public ::testing::Test {
 protected:
  DecisionCacheTest() : random_(7) { Make({64, 8, 16}); }
  void Make(const DecisionCacheOptions& options) {
    auto made = DecisionCache::Create(options, random_);
    ASSERT_TRUE(made.ok()) << made.status();
    cache_ = std::move(*made);
  }
  TokenKey KeyFor(const std::string& id, const std::string& secret = "s") {
    return cache_->KeyOf("tgw_" + id + secret, id);
  }
  bool Put(const tollgate::v1::Grant& grant, const std::string& secret = "s", int64_t ms = 1000) {
    gone_.clear();
    return cache_->Insert(KeyFor(grant.token_id(), secret), grant, token::PackGrant(grant), ms,
                          &place_, &gone_);
  }
  Found Look(const std::string& id, const std::string& secret = "s") {
    return cache_->Find(KeyFor(id, secret), &buffer_, &place_);
  }

  base::SeededRandom random_;
  std::unique_ptr<DecisionCache> cache_;
  GrantBuffer buffer_;
  DecisionCache::Place place_;
  std::vector<EntryUse> gone_;
};

TEST_F(DecisionCacheTest, HoldsGrantsByTheWholeString) {
  EXPECT_EQ(Look(IdOf(1)), Found::kMiss);
  ASSERT_TRUE(Put(GrantFor("acme", IdOf(1))));
  ASSERT_EQ(Look(IdOf(1)), Found::kGrant);
  token::GrantView view;
  ASSERT_TRUE(token::GrantView::Over(buffer_.bytes(), &view));
  EXPECT_EQ(view.workspace(), "acme");
  EXPECT_EQ(view.token_id(), IdOf(1));
  EXPECT_EQ(view.scope(0), "deploy:write");
  EXPECT_EQ(Look(IdOf(1), "another secret"), Found::kMiss);
  EXPECT_EQ(cache_->size(), 1);
}

TEST_F(DecisionCacheTest, StringsOfOneIdAreToldApart) {
  // All of them in one set, and with one mark.
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(Put(GrantFor("acme", IdOf(1), absl::StrCat("owner-", i)), absl::StrCat("s", i)));
  }
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(Look(IdOf(1), absl::StrCat("s", i)), Found::kGrant);
    token::GrantView view;
    ASSERT_TRUE(token::GrantView::Over(buffer_.bytes(), &view));
    EXPECT_EQ(view.owner(), absl::StrCat("owner-", i));
  }
  EXPECT_EQ(Look(IdOf(1), "s8"), Found::kMiss);
  cache_->DropToken(IdOf(1), &gone_);
  EXPECT_EQ(cache_->size(), 0);
}

// Keys of one set, with marks that are equal, or lie next to each other where the comparison of
// eight bytes at once borrows from the next: whatever marks say, each string is found as itself.
TEST_F(DecisionCacheTest, AMarkIsAHintAndNoProof) {
  Make({8, 8, 8});
  constexpr uint64_t kMarks[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0x81, 0xfe, 0xff};
  base::SeededRandom random(11);
  for (int round = 0; round < 500; ++round) {
    std::vector<TokenKey> keys(16);
    for (int i = 0; i < 16; ++i) {
      keys[i].hash[0] = 1 + i;  // small: the halves of one differ from those of another in few bits
      keys[i].hash[1] = random.Uniform(3);
      keys[i].id_tag = kMarks[random.Uniform(8)] << 56 | static_cast<uint64_t>(i) << 3;
    }
    DecisionCache::Place place;
    for (int i = 0; i < 8; ++i) {
      const auto grant = GrantFor("acme", IdOf(i));
      ASSERT_TRUE(
          cache_->Insert(keys[i], grant, token::PackGrant(grant), 1000 + round, &place, &gone_));
    }
    for (int i = 8; i < 12; ++i) cache_->InsertUnknown(keys[i], 1000 + round, &gone_);
    for (int i = 0; i < 16; ++i) {
      const Found found = cache_->Find(keys[i], &buffer_, &place);
      ASSERT_EQ(found, i < 8    ? Found::kGrant
                       : i < 12 ? Found::kUnknown
                                : Found::kMiss)
          << round << " " << i;
      if (i >= 8) continue;
      token::GrantView view;
      ASSERT_TRUE(token::GrantView::Over(buffer_.bytes(), &view));
      ASSERT_EQ(view.token_id(), IdOf(i));
    }
    if (round % 2 == 0) cache_->DropAll(&gone_);  // else the next ones push these out
    gone_.clear();
  }
}

TEST_F(DecisionCacheTest, TheLargestGrantFits) {
  tollgate::v1::Grant g = GrantFor("acme", IdOf(1), std::string(256, 'o'));
  g.clear_scopes();
  for (int i = 0; i < 64; ++i) g.add_scopes(absl::StrFormat("%0128d", i));
  for (int i = 0; i < 16; ++i) g.add_audiences(absl::StrFormat("%0128d", i));
  ASSERT_TRUE(Put(g));
  ASSERT_EQ(Look(IdOf(1)), Found::kGrant);
  EXPECT_EQ(buffer_.bytes(), token::PackGrant(g));
  cache_->DropToken(IdOf(1), &gone_);
  EXPECT_EQ(Look(IdOf(1)), Found::kMiss);
  for (int i = 0; i < 200; ++i) g.add_scopes(std::string(128, 'x'));
  EXPECT_FALSE(Put(g));
}

TEST_F(DecisionCacheTest, KnowsWhatIsUnknownUntilItIsNot) {
  cache_->InsertUnknown(KeyFor(IdOf(1), "a"), 1000, &gone_);
  cache_->InsertUnknown(KeyFor(IdOf(1), "b"), 1000, &gone_);
  cache_->InsertUnknown(KeyFor(IdOf(2)), 1000, &gone_);
  EXPECT_EQ(Look(IdOf(1), "a"), Found::kUnknown);
  EXPECT_EQ(cache_->unknown_size(), 3);
  cache_->DropToken(IdOf(1), &gone_);  // created: every string with that id
  EXPECT_EQ(Look(IdOf(1), "a"), Found::kMiss);
  EXPECT_EQ(Look(IdOf(1), "b"), Found::kMiss);
  EXPECT_EQ(Look(IdOf(2)), Found::kUnknown);
  ASSERT_TRUE(Put(GrantFor("acme", IdOf(2))));
  EXPECT_EQ(Look(IdOf(2)), Found::kGrant);
  EXPECT_EQ(cache_->unknown_size(), 0);
}

TEST_F(DecisionCacheTest, UnknownStringsAreBoundedAndPushOutNoGrant) {
  ASSERT_TRUE(Put(GrantFor("acme", IdOf(0))));
  for (int i = 1; i < 5000; ++i) cache_->InsertUnknown(KeyFor(IdOf(i)), 1000 + i, &gone_);
  for (int i = 0; i < 5000; ++i) cache_->InsertUnknown(KeyFor(IdOf(0), absl::StrCat(i)), i, &gone_);
  EXPECT_LE(cache_->unknown_size(), 16);
  EXPECT_EQ(Look(IdOf(0)), Found::kGrant);
}

TEST_F(DecisionCacheTest, ASetGivesUpTheLeastRecentlyAdmitted) {
  Make({8, 8, 8});  // one set
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(Put(GrantFor("acme", IdOf(i)), "s", 1000 + 100 * i));
  ASSERT_EQ(Look(IdOf(0)), Found::kGrant);
  ASSERT_TRUE(cache_->RecordAdmit(place_, 9000));
  ASSERT_EQ(Look(IdOf(1)), Found::kGrant);
  ASSERT_TRUE(cache_->RecordAdmit(place_, 5000));
  ASSERT_TRUE(Put(GrantFor("acme", IdOf(8)), "s", 9001));  // 2 goes: never admitted, oldest
  EXPECT_EQ(Look(IdOf(2)), Found::kMiss);
  for (int i = 9; i < 14; ++i) ASSERT_TRUE(Put(GrantFor("acme", IdOf(i)), "s", 9001));
  EXPECT_EQ(Look(IdOf(1)), Found::kGrant);
  ASSERT_TRUE(Put(GrantFor("acme", IdOf(14)), "s", 9001));  // now 1, whose use is handed out
  EXPECT_EQ(Look(IdOf(1)), Found::kMiss);
  EXPECT_EQ(Look(IdOf(0)), Found::kGrant);
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(gone_[0].token_id, IdOf(1));
  EXPECT_EQ(gone_[0].workspace, "acme");
  EXPECT_EQ(gone_[0].last_admit_ms, 5000);
  EXPECT_EQ(gone_[0].uses, 1);
  EXPECT_EQ(cache_->size(), 8);
  EXPECT_EQ(cache_->evictions(), 7);
}

TEST_F(DecisionCacheTest, ADropCollectsTheAdmissionOrTheAdmissionSeesTheDrop) {
  ASSERT_TRUE(Put(GrantFor("acme", IdOf(1))));
  ASSERT_EQ(Look(IdOf(1)), Found::kGrant);
  const auto before = place_;
  ASSERT_TRUE(cache_->RecordAdmit(before, 5005));
  gone_.clear();
  cache_->DropToken(IdOf(1), &gone_);
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(gone_[0].last_admit_ms, 5000);  // the coarse tick
  EXPECT_FALSE(cache_->RecordAdmit(before, 6000));
  // Nor does a stamp land on the next tenant.
  ASSERT_TRUE(Put(GrantFor("acme", IdOf(1))));
  EXPECT_FALSE(cache_->RecordAdmit(before, 7000));
  ASSERT_TRUE(cache_->RecordAdmit(place_, 8000));
}

TEST_F(DecisionCacheTest, EvidenceOutlivesTheReport) {
  ASSERT_TRUE(Put(GrantFor("acme", IdOf(1))));
  ASSERT_TRUE(cache_->RecordAdmit(place_, 5000));
  ASSERT_TRUE(cache_->RecordAdmit(place_, 5001));
  const uint64_t collection = cache_->collection();
  gone_.clear();
  cache_->CollectUse(&gone_);
  EXPECT_EQ(cache_->collection(), collection + 1);
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(gone_[0].uses, 2);
  gone_.clear();
  cache_->CollectUse(&gone_);
  EXPECT_TRUE(gone_.empty());
  cache_->DropToken(IdOf(1), &gone_);  // nothing new to report, yet evidence
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_EQ(gone_[0].uses, 0);
  EXPECT_EQ(gone_[0].last_admit_ms, 5000);
}

TEST_F(DecisionCacheTest, CohortsDropByWorkspaceOwnerAndPlaceOfCreation) {  // R13
  const auto put = [&](int n, const char* workspace, const char* owner, int64_t revision,
                       uint32_t index) {
    auto g = GrantFor(workspace, IdOf(n), owner);
    g.set_create_revision(revision);
    g.set_create_index(index);
    ASSERT_TRUE(Put(g));
  };
  Make({4096, 8, 8});
  put(1, "acme", "a", 5, 0);
  put(2, "acme", "b", 5, 0);
  put(3, "acme", "a", 9, 1);   // in the batch, before
  put(4, "acme", "a", 9, 2);   // in the batch, the cohort's own place
  put(5, "acme", "a", 10, 0);  // after
  put(6, "other", "a", 5, 0);
  auto large = GrantFor("acme", IdOf(7), "a");
  for (int i = 0; i < 30; ++i) large.add_scopes(std::string(100, 'x'));
  ASSERT_TRUE(Put(large));
  cache_->InsertUnknown(KeyFor(IdOf(8)), 1, &gone_);

  cache_->DropCohort({"acme", "a", 9, 2}, &gone_);
  std::set<int> left;
  for (int n = 1; n <= 8; ++n) {
    if (Look(IdOf(n)) != Found::kMiss) left.insert(n);
  }
  EXPECT_EQ(left, (std::set<int>{2, 4, 5, 6, 8}));
  cache_->DropCohort({"acme", "", 11, 0}, &gone_);
  left.clear();
  for (int n = 1; n <= 8; ++n) {
    if (Look(IdOf(n)) != Found::kMiss) left.insert(n);
  }
  EXPECT_EQ(left, (std::set<int>{6, 8}));
}

TEST_F(DecisionCacheTest, DropAllDropsAll) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Put(GrantFor("acme", IdOf(i))));
  cache_->InsertUnknown(KeyFor(IdOf(99)), 1, &gone_);
  cache_->DropAll(&gone_);
  EXPECT_EQ(cache_->size(), 0);
  EXPECT_EQ(cache_->unknown_size(), 0);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Look(IdOf(i)), Found::kMiss);
}

// Readers against one writer in a single set: what they get is whole, is theirs, and every
// admission that was recorded is handed out exactly once.
TEST_F(DecisionCacheTest, ReadersNeverSeeATornOrForeignEntry) {
  Make({8, 8, 8});
  constexpr int kIds = 12;
  std::vector<tollgate::v1::Grant> grants;
  std::vector<TokenKey> keys;
  for (int i = 0; i < kIds; ++i) {
    auto g = GrantFor("acme", IdOf(i), std::string(1, static_cast<char>('a' + i)));
    g.clear_scopes();
    // Large ones: the longer a copy takes, the likelier a writer comes in between.
    for (int s = 0; s < 60; ++s) g.add_scopes(std::string(100, static_cast<char>('a' + i)));
    grants.push_back(g);
    keys.push_back(KeyFor(IdOf(i)));
  }
  std::atomic<bool> stop{false};
  std::atomic<int64_t> wrong{0}, found{0}, recorded{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&, t] {
      GrantBuffer buffer;
      int64_t ms = 1'000'000;
      for (int i = t; !stop.load(std::memory_order_relaxed); ++i, ++ms) {
        const int n = i % kIds;
        DecisionCache::Place place;
        if (cache_->Find(keys[n], &buffer, &place) != Found::kGrant) continue;
        ++found;
        token::GrantView view;
        if (!token::GrantView::Over(buffer.bytes(), &view) || view.token_id() != IdOf(n) ||
            view.owner() != grants[n].owner() || view.scope_count() != 60 ||
            view.scope(0) != grants[n].scopes(0) || view.scope(30) != grants[n].scopes(0) ||
            view.scope(59) != grants[n].scopes(0)) {
          ++wrong;
        }
        if (cache_->RecordAdmit(place, ms)) ++recorded;
      }
    });
  }
  std::vector<EntryUse> out;
  int64_t reported = 0;
  const auto drain = [&] {
    for (const EntryUse& use : out) reported += use.uses;
    out.clear();
  };
  DecisionCache::Place place;
  base::SeededRandom random(3);
  for (int i = 0; i < 60000 || found.load() < 1000; ++i) {
    const int n = static_cast<int>(random.Uniform(kIds));
    switch (random.Uniform(4)) {
      case 0:
        cache_->DropToken(IdOf(n), &out);
        break;
      case 1:
        cache_->CollectUse(&out);
        break;
      default:
        cache_->Insert(keys[n], grants[n], token::PackGrant(grants[n]), i, &place, &out);
    }
    drain();
  }
  stop = true;
  for (auto& t : readers) t.join();
  cache_->DropAll(&out);
  drain();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(reported, recorded.load());
}

// Whoever evicts or resets while an admission is recorded: one of the two knows of it. Else a
// report would say "complete" over a use that nobody tells.
TEST_F(DecisionCacheTest, AnAdmissionThatMeetsADropIsRefusedOrReported) {
  constexpr int kRounds = 60'000;
  Make({8, 8, 8});
  const tollgate::v1::Grant grant = GrantFor("acme", IdOf(1));
  const std::string packed = token::PackGrant(grant);
  const TokenKey key = KeyFor(IdOf(1));
  std::atomic<int> round{0};  // the reader may go
  std::atomic<int> done{0};   // it has gone
  bool admitted = false;
  DecisionCache::Place place;
  std::thread reader([&] {
    for (int i = 1; i <= kRounds; ++i) {
      while (round.load(std::memory_order_acquire) < i) std::this_thread::yield();
      admitted = cache_->RecordAdmit(place, 1000 * i);
      done.store(i, std::memory_order_release);
    }
  });
  int refused = 0;
  int untold = 0;
  for (int i = 1; i <= kRounds; ++i) {
    gone_.clear();
    ASSERT_TRUE(cache_->Insert(key, grant, packed, 1, &place, &gone_));
    gone_.clear();
    round.store(i, std::memory_order_release);
    for (int pause = i % 512; pause > 0; --pause) (void)cache_->collection();
    cache_->DropAll(&gone_);
    while (done.load(std::memory_order_acquire) < i) std::this_thread::yield();
    if (!admitted) ++refused;
    const bool told = gone_.size() == 1 && gone_[0].last_admit_ms == 1000 * i && gone_[0].uses > 0;
    if (admitted != told) ++untold;
  }
  reader.join();
  EXPECT_EQ(untold, 0) << "of " << kRounds << ", " << refused << " refused";
}

// Two readers record without a pause while the slot changes its tenant: a use that is recorded is
// handed out once, and none lands on the next tenant.
TEST_F(DecisionCacheTest, EveryUseIsHandedOutOnce) {
  constexpr int kRounds = 100'000;
  Make({8, 8, 8});
  const tollgate::v1::Grant grant = GrantFor("acme", IdOf(1));
  const std::string packed = token::PackGrant(grant);
  const TokenKey key = KeyFor(IdOf(1));
  DecisionCache::Place first;
  ASSERT_TRUE(cache_->Insert(key, grant, packed, 1, &first, &gone_));
  // The one slot that is ever used; the sequence tells its tenants apart.
  std::atomic<uint32_t> sequence{first.sequence};
  std::atomic<bool> stop{false};
  std::atomic<int64_t> recorded{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      int64_t mine = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        DecisionCache::Place place = first;
        place.sequence = sequence.load(std::memory_order_acquire);
        if (cache_->RecordAdmit(place, 1000)) ++mine;
      }
      recorded += mine;
    });
  }
  int64_t reported = 0;
  const auto drain = [&] {
    for (const EntryUse& use : gone_) reported += use.uses;
    gone_.clear();
  };
  for (int i = 0; i < kRounds || reported == 0; ++i) {
    DecisionCache::Place place;
    if (i % 4 == 0) cache_->CollectUse(&gone_);
    cache_->DropAll(&gone_);
    ASSERT_TRUE(cache_->Insert(key, grant, packed, 1, &place, &gone_));
    sequence.store(place.sequence, std::memory_order_release);
    drain();
  }
  stop = true;
  for (auto& t : readers) t.join();
  cache_->DropAll(&gone_);
  drain();
  EXPECT_EQ(reported, recorded.load());
}

TEST_F(DecisionCacheTest, RefusesAbsurdSizes) {
  EXPECT_FALSE(DecisionCache::Create({size_t{1} << 40, 8, 8}, random_).ok());
}

}  // namespace
}  // namespace tollgate::validator

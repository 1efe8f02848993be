#include "storage/engine_registry.h"

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/engines.h"
#include "storage/schema.h"

namespace tollgate::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

EngineOpenOptions At(const std::string& location) {
  EngineOpenOptions options;
  options.location = location;
  options.random = &base::SystemRandom();
  options.clock = &base::SystemClock();
  return options;
}

struct Named {
  const char* text;
  const char* scheme;
  const char* location;
  const char* shortest;
};

class EngineUriTest : public testing::TestWithParam<Named> {};

TEST_P(EngineUriTest, IsUnderstoodAndWrittenAgain) {
  const Named& named = GetParam();
  const absl::StatusOr<EngineUri> uri = Engines().Parse(named.text);
  ASSERT_TRUE(uri.ok()) << uri.status();
  EXPECT_EQ(uri->driver->scheme(), named.scheme);
  EXPECT_EQ(uri->location, named.location);
  EXPECT_EQ(Engines().ToText(*uri), named.shortest);
  const absl::StatusOr<EngineUri> again = Engines().Parse(named.shortest);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->driver, uri->driver);
}

INSTANTIATE_TEST_SUITE_P(Table, EngineUriTest,
                         testing::Values(Named{"/var/lib/tollgate", "rocksdb", "/var/lib/tollgate",
                                               "/var/lib/tollgate"},
                                         Named{"rocksdb:/var/lib/tollgate", "rocksdb",
                                               "/var/lib/tollgate", "/var/lib/tollgate"},
                                         Named{"rocksdb:store", "rocksdb", "store", "store"},  //
                                         Named{"store", "rocksdb", "store", "store"},          //
                                         Named{"../store", "rocksdb", "../store", "../store"},
                                         // Paths with a colon, as they always were.
                                         Named{"/srv/a:b", "rocksdb", "/srv/a:b", "/srv/a:b"},
                                         Named{"./a:b", "rocksdb", "./a:b", "./a:b"},  //
                                         Named{"x/ab:c", "rocksdb", "x/ab:c", "x/ab:c"},
                                         Named{"rocksdb:ab:c", "rocksdb", "ab:c", "./ab:c"},
                                         Named{"rocksdb:/a:b", "rocksdb", "/a:b", "/a:b"},
                                         Named{":x", "rocksdb", ":x", ":x"},  //
                                         Named{"c:x", "rocksdb", "c:x", "c:x"},
                                         Named{"12:30", "rocksdb", "12:30", "12:30"},
                                         Named{"a b:c", "rocksdb", "a b:c", "a b:c"},  //
                                         Named{"memory:", "memory", "", "memory:"}));

TEST(EngineRegistry, AnUnknownSchemeIsRefusedWithThoseThatAreKnown) {
  for (const char* text : {"etcd:host:2379", "rocksbd:/var/lib/x", "RocksDB:/var/lib/x"}) {
    const absl::Status refused = Engines().Parse(text).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("rocksdb, memory")) << text;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(std::string("./") + text));
  }
  EXPECT_EQ(Engines().Parse("").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EngineRegistry, TheDefaultIsTheFirst) {
  EXPECT_THAT(Engines().schemes(), ElementsAre("rocksdb", "memory"));
  EXPECT_EQ(Engines().default_driver().scheme(), "rocksdb");
}

TEST(EngineRegistryDeathTest, NoSchemeTwice) {
  class Twin final : public EngineDriver {
   public:
    absl::string_view scheme() const override { return "twin"; }
    EngineTraits traits() const override { return EngineTraits(); }
    absl::StatusOr<std::unique_ptr<Engine>> Open(const EngineOpenOptions&) const override {
      return absl::UnimplementedError("");
    }
  };
  std::vector<std::unique_ptr<const EngineDriver>> twins;
  twins.push_back(std::make_unique<Twin>());
  twins.push_back(std::make_unique<Twin>());
  EXPECT_DEATH(EngineRegistry registry(std::move(twins)), "two engines are called twin");
}

// Each engine does what its traits say.
TEST(EngineRegistry, AnEngineInAFolderIsThereAgainAndItsCopyToo) {
  std::string folder = testing::TempDir() + "tollgate-registry-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  for (const std::string& scheme : Engines().schemes()) {
    const EngineDriver& driver = *Engines().Parse(scheme + ":")->driver;
    const EngineTraits traits = driver.traits();
    EngineOpenOptions options = At(traits.in_folder ? folder + "/" + scheme : "");
    options.create_if_missing = false;
    EXPECT_EQ(base::ReasonOf(driver.Open(options).status()), "STORE_NOT_FOUND") << scheme;
    EXPECT_FALSE(driver.HoldsStore(options.location));
    options.create_if_missing = true;
    const std::string copy = folder + "/copy-of-" + scheme;
    {
      absl::StatusOr<std::unique_ptr<Engine>> engine = driver.Open(options);
      ASSERT_TRUE(engine.ok()) << engine.status();
      EXPECT_EQ((*engine)->Checkpoint(copy).ok(), traits.in_folder) << scheme;
    }
    EXPECT_EQ(driver.HoldsStore(options.location), traits.in_folder) << scheme;
    EXPECT_EQ(driver.HoldsStore(copy), traits.in_folder) << scheme;
    options.create_if_missing = false;
    EXPECT_EQ(driver.Open(options).ok(), traits.durable) << scheme;
    EXPECT_TRUE(driver.BelongsToCopy("000012.sst"));
    EXPECT_EQ(driver.BelongsToCopy("LOCK"), !traits.in_folder);
  }
  std::filesystem::remove_all(folder);
}

TEST(EngineRegistry, AMemoryStoreIsNewEachTimeAndHasNoLocation) {
  const EngineDriver& driver = *Engines().Parse("memory:")->driver;
  const auto epoch = [](Engine& engine) {
    const auto snapshot = engine.NewSnapshot().value();
    return GetRecord<store::v1::MetaRecord>(*snapshot, Table::kMeta, kMetaKey).value()->epoch();
  };
  const std::string first = epoch(*driver.Open(At("")).value());
  EXPECT_EQ(first.size(), 32u);
  EXPECT_NE(first, epoch(*driver.Open(At("")).value()));
  EXPECT_EQ(driver.Open(At("x")).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tollgate::storage

#include "lease/proof.h"

#include <set>
#include <string>

#include "base/status.h"
#include "gtest/gtest.h"

namespace tollgate::lease {
namespace {

using tollgate::v1::Proof;

Sealer SealerOf(char byte) { return Sealer(base::SecretBytes::CopyOf(std::string(32, byte))); }

Proof SomeProof() {
  Proof proof;
  proof.set_store_id(std::string(32, 'a'));
  proof.set_epoch(std::string(32, 'b'));
  proof.set_term(std::string(32, 'c'));
  proof.set_revision(7);
  proof.set_fingerprint(std::string(kFingerprintBytes, 'f'));
  return proof;
}

TEST(Sealer, KnowsItsOwnSealAndNoOther) {
  Proof proof = SomeProof();
  SealerOf('k').Seal(&proof);
  EXPECT_TRUE(CheckProof(proof).ok());
  EXPECT_TRUE(SealerOf('k').IsSealed(proof));
  EXPECT_FALSE(SealerOf('l').IsSealed(proof));
}

TEST(Sealer, CoversEveryField) {
  const Sealer sealer = SealerOf('k');
  Proof sealed = SomeProof();
  sealer.Seal(&sealed);
  std::set<std::string> macs = {sealed.mac()};
  const auto changed = [&](auto change) {
    Proof proof = sealed;
    change(proof);
    EXPECT_FALSE(sealer.IsSealed(proof)) << proof.ShortDebugString();
    sealer.Seal(&proof);
    EXPECT_TRUE(macs.insert(proof.mac()).second) << "two proofs with one MAC";
  };
  changed([](Proof& p) { p.set_store_id(std::string(32, 'x')); });
  changed([](Proof& p) { p.set_epoch(std::string(32, 'x')); });
  changed([](Proof& p) { p.set_term(std::string(32, 'x')); });
  changed([](Proof& p) { p.set_revision(8); });
  changed([](Proof& p) { p.mutable_fingerprint()->back() = 'g'; });
  // What moves from one field to the next is another proof.
  changed([](Proof& p) {
    p.set_store_id(std::string(31, 'a'));
    p.set_epoch("a" + std::string(32, 'b'));
  });
}

TEST(Sealer, RefusesAMacOfAnotherSize) {
  const Sealer sealer = SealerOf('k');
  Proof proof = SomeProof();
  EXPECT_FALSE(sealer.IsSealed(proof));
  sealer.Seal(&proof);
  proof.mutable_mac()->push_back('\0');
  EXPECT_FALSE(sealer.IsSealed(proof));
  proof.mutable_mac()->resize(16);
  EXPECT_FALSE(sealer.IsSealed(proof));
}

TEST(CheckProof, NamesTheFieldThatIsWrong) {
  Proof good = SomeProof();
  SealerOf('k').Seal(&good);
  const auto field = [&](auto change) {
    Proof proof = good;
    change(proof);
    const absl::Status status = CheckProof(proof);
    EXPECT_EQ(base::ReasonOf(status), "PROOF_MALFORMED");
    const base::ErrorDetails details = base::DetailsOf(status);
    return details.fields.empty() ? std::string() : details.fields[0].field;
  };
  EXPECT_EQ(field([](Proof& p) { p.clear_store_id(); }), "hello.proof.store_id");
  EXPECT_EQ(field([](Proof& p) { p.set_epoch(std::string(65, 'e')); }), "hello.proof.epoch");
  EXPECT_EQ(field([](Proof& p) { p.clear_term(); }), "hello.proof.term");
  EXPECT_EQ(field([](Proof& p) { p.set_revision(-1); }), "hello.proof.revision");
  EXPECT_EQ(field([](Proof& p) { p.mutable_fingerprint()->pop_back(); }),
            "hello.proof.fingerprint");
  EXPECT_EQ(field([](Proof& p) { p.clear_mac(); }), "hello.proof.mac");
}

}  // namespace
}  // namespace tollgate::lease

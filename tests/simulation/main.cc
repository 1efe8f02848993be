#include <cstdlib>
#include <iostream>
#include <string>

#include "base/log.h"
#include "base/mutation.h"
#include "base/secret.h"
#include "tests/simulation/mutations.h"
#include "tests/simulation/simulation.h"

namespace {

using tollgate::simulation::Outcome;
using tollgate::simulation::RunSeed;

// After so many broken seeds the rest is not worth the time.
constexpr uint64_t kMostFailures = 5;
// The average for each seed; about a quarter of the usual number.
constexpr int64_t kFewestReceipts = 25;
constexpr int64_t kFewestAdmits = 70;

constexpr char kUsage[] =
    "simulation [--seeds N] [--from SEED] [--mutation NAME] [--verbose] [--mutations]\n"
    "  --seeds N        runs N seeds (100)\n"
    "  --from SEED      the first one (1)\n"
    "  --mutation NAME  with this rule taken out or bent\n"
    "  --twice          runs each seed twice, and compares the two histories\n"
    "  --verbose        prints the history of every run\n"
    "  --mutations      takes out each rule in turn, until a seed catches it; at most --seeds of "
    "them\n";

void PrintHistory(const Outcome& outcome, size_t most) {
  const size_t size = outcome.history.size();
  for (size_t i = size > most ? size - most : 0; i < size; ++i) {
    std::cout << outcome.history[i] << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seeds = 100, from = 1;
  bool verbose = false, mutations = false, twice = false;
  std::string mutation;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const bool more = i + 1 < argc;
    if (arg == "--seeds" && more) {
      seeds = std::strtoull(argv[++i], nullptr, 10);
    } else if (arg == "--from" && more) {
      from = std::strtoull(argv[++i], nullptr, 10);
    } else if (arg == "--mutation" && more) {
      mutation = argv[++i];
    } else if (arg == "--verbose") {
      verbose = true;
    } else if (arg == "--twice") {
      twice = true;
    } else if (arg == "--mutations") {
      mutations = true;
    } else {
      std::cerr << kUsage;
      return 2;
    }
  }
  tollgate::base::InitSecrets();
  // Logs nothing: the cores' lines about the world's faults are no news here.
  tollgate::base::SetLogLevel(static_cast<tollgate::base::LogLevel>(
      static_cast<int>(tollgate::base::LogLevel::kError) + 1));
  if (mutations) return tollgate::simulation::RunMutations(seeds) == 0 ? 0 : 1;
  if (!mutation.empty()) tollgate::base::chosen_mutation = mutation.c_str();

  Outcome total;
  uint64_t failed = 0;
  for (uint64_t seed = from; seed < from + seeds; ++seed) {
    const Outcome outcome = RunSeed(seed, verbose);
    total.steps += outcome.steps;
    total.faults += outcome.faults;
    total.receipts += outcome.receipts;
    total.admits += outcome.admits;
    total.denials += outcome.denials;
    total.holds += outcome.holds;
    total.holds_judged += outcome.holds_judged;
    if (verbose) PrintHistory(outcome, SIZE_MAX);
    if (twice && RunSeed(seed, /*record=*/false).hash != outcome.hash) {
      ++failed;
      std::cout << "seed " << seed << " does not replay\n";
    }
    if (!outcome.broken) continue;
    ++failed;
    const Outcome replayed = RunSeed(seed, true);
    std::cout << "seed " << seed << ": " << outcome.invariant << " is broken: " << outcome.how
              << '\n';
    if (replayed.hash != outcome.hash) std::cout << "(and it does not replay)\n";
    PrintHistory(replayed, 60);
    if (failed >= kMostFailures) {
      seeds = seed - from + 1;
      break;
    }
  }
  // A simulation in which little happens proves little.
  const bool idle = failed == 0 && seeds >= 50 &&
                    (total.receipts < kFewestReceipts * static_cast<int64_t>(seeds) ||
                     total.admits < kFewestAdmits * static_cast<int64_t>(seeds));
  if (idle) std::cout << "suspiciously little was judged\n";
  std::cout << "simulation: seeds " << from << " to " << from + seeds - 1 << ", " << total.steps
            << " steps, " << total.faults << " faults injected, " << total.receipts
            << " receipts judged, " << total.admits << " admits judged, " << total.denials
            << " denials judged, " << total.holds << " holds, " << total.holds_judged
            << " of them judged, " << failed << " failed\n";
  return failed == 0 && !idle ? 0 : 1;
}

// Durable creates through the sequencer on RocksDB, with 1, 100 and 1000 under way, against the
// floor: one write and one fdatasync of a file in the same folder, which is the least that a
// durable commit costs.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "service/tokens/create_token.h"
#include "storage/engines.h"
#include "storage/sequencer.h"
#include "token/keyring.h"
#include "token/token_string.h"

namespace tollgate::bench {
namespace {

std::string NewFolder() {
  base::InitSecrets();
  std::string path =
      absl::StrCat(std::filesystem::temp_directory_path().string(), "/tollgate-bench.XXXXXX");
  if (mkdtemp(path.data()) == nullptr) std::abort();
  return path;
}

void Creates(benchmark::State& state) {
  const std::string folder = NewFolder();
  {
    storage::EngineOpenOptions engine_options;
    engine_options.location = folder + "/store";
    engine_options.random = &base::SystemRandom();
    engine_options.clock = &base::SystemClock();
    const std::unique_ptr<storage::Engine> engine =
        storage::Engines().default_driver().Open(engine_options).value();
    storage::Sequencer::Options options;
    options.engine = engine.get();
    options.clock = &base::SystemClock();
    std::unique_ptr<storage::Sequencer> sequencer = storage::Sequencer::Start(options).value();
    const token::Keyring keyring = token::Keyring::Generate(base::SystemRandom());
    tollgate::v1::CreateTokenRequest request;
    request.set_parent("workspaces/acme");
    request.mutable_token()->set_label("bench");
    request.mutable_token()->add_scopes("deploy:write");

    absl::Mutex mu;
    int64_t under_way = 0;
    int64_t failed = 0;
    const int64_t window = state.range(0);
    for (auto _ : state) {
      const token::TokenFormat::Minted minted =
          token::TokenFormat().Mint(token::TokenKind::kWorkspace, base::SystemRandom());
      const token::StoredDigest digest =
          keyring.Digest(token::EdgeDigest::Of(minted.token_string.RevealSecret()));
      std::shared_ptr<service::CreateTokenCommand> command =
          service::CreateTokenCommand::Make(request, "bench",
                                            {minted.public_id, digest, keyring.primary_id()})
              .value();
      absl::MutexLock lock(&mu);
      const auto room = [&] { return under_way < window; };
      mu.Await(absl::Condition(&room));
      ++under_way;
      sequencer->Submit(command, [&](absl::StatusOr<storage::Committed> done) {
        absl::MutexLock lock(&mu);
        --under_way;
        failed += !done.ok();
      });
    }
    {
      absl::MutexLock lock(&mu);
      const auto none = [&] { return under_way == 0; };
      mu.Await(absl::Condition(&none));
      if (failed > 0) state.SkipWithError("a create failed");
    }
    state.SetItemsProcessed(state.iterations());
    sequencer->Stop();
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(Creates)->Arg(1)->Arg(100)->Arg(1000)->UseRealTime();

void Floor(benchmark::State& state) {
  const std::string folder = NewFolder();
  const int file = open((folder + "/log").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
  const std::string record(1024, 'x');
  for (auto _ : state) {
    if (write(file, record.data(), record.size()) < 0 || fdatasync(file) != 0)
      state.SkipWithError("cannot write");
  }
  state.SetItemsProcessed(state.iterations());
  close(file);
  std::filesystem::remove_all(folder);
}
BENCHMARK(Floor)->UseRealTime();

}  // namespace
}  // namespace tollgate::bench

BENCHMARK_MAIN();

#include "cli/commands/scan.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/optional.h"
#include "base/status.h"
#include "cli/commands/enforcement_wait.h"
#include "cli/commands/scan_inputs.h"
#include "cli/commands/token.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/live_lines.h"
#include "leaks/token_scanner.h"
#include "nlohmann/json.hpp"
#include "token/field_rules.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::TokenService;

// All of them are held, and told as one answer.
constexpr size_t kMostFindings = 100000;
// The answer names so many of what could not be read; the rest is counted.
constexpr size_t kMostUnreadable = 1000;
constexpr absl::Duration kLiveEvery = absl::Milliseconds(200);
constexpr char kStandardInput[] = "-";

struct ScanOptions {
  std::vector<std::string> paths;
  std::vector<std::string> brands = {"tg"};
  bool ignore_unreadable = false, revoke = false, yes = false;
  std::string reason;
  WaitOptions wait;
};

absl::string_view KindWord(token::TokenKind kind) {
  switch (kind) {
    case token::TokenKind::kWorkspace:
      return "workspace";
    case token::TokenKind::kOperator:
      return "operator";
    case token::TokenKind::kAccess:
      return "access";
    case token::TokenKind::kRefresh:
      return "refresh";
  }
  return "unknown";
}

std::string Counted(size_t count, absl::string_view one) {
  return absl::StrCat(HumanCount(static_cast<int64_t>(count)), " ", one, count == 1 ? "" : "s");
}

// A path without the token strings that its names may hold.
std::string PathToShow(absl::string_view path) {
  std::string shown;
  while (true) {
    const absl::string_view secret = token::FindTokenString(path);
    if (secret.empty()) return absl::StrCat(shown, path);
    const size_t at = static_cast<size_t>(secret.data() - path.data());
    absl::StrAppend(&shown, path.substr(0, at), "(a token string)");
    path.remove_prefix(at + secret.size());
  }
}

// The same on one line of text, whatever its names hold.
std::string OnOneLine(const std::string& path) {
  return absl::StrReplaceAll(SafeForTerminal(path), {{"\n", "?"}});
}

// What became of a token string that was to be revoked.
struct Outcome {
  std::string word;   // "revoked", "had-ended", "unknown", "failed", "not-tried"; "": not asked for
  std::string token;  // its full name, where the service knows it
  std::string label;

  absl::string_view text() const {
    return word == "had-ended"   ? "had ended"
           : word == "unknown"   ? "unknown to the service"
           : word == "not-tried" ? "not tried"
                                 : absl::string_view(word);
  }
};

struct Finding {
  std::string path;  // as it may be shown
  leaks::FoundToken found;
  Outcome outcome;

  std::string place() const { return absl::StrCat(path, ":", found.line, ":", found.column); }
};

// The reason that the audit log keeps: where it was found, as the service takes it.
std::string DefaultReason(const Finding& finding) {
  constexpr absl::string_view kBefore = "found by tollgate scan in ";
  const std::string line = absl::StrCat(":", finding.found.line);
  std::string path = OnOneLine(finding.path);
  const size_t room = token::kMaxReasonLength - kBefore.size() - line.size();
  if (path.size() > room) {
    // Its end says more than its beginning.
    constexpr absl::string_view kCut = "...";
    size_t from = path.size() - room + kCut.size();
    while (from < path.size() && (static_cast<uint8_t>(path[from]) & 0xC0) == 0x80) ++from;
    path = absl::StrCat(kCut, path.substr(from));
  }
  return absl::StrCat(kBefore, path, line);
}

class Scan {
 public:
  Scan(Context& context, const ScanOptions& options)
      : context_(context), options_(options), live_(context, LiveLines::Stream::kErr) {}

  absl::Status Run() {
    RETURN_IF_ERROR(CheckOptions());
    RETURN_IF_ERROR(Look());
    if (options_.revoke && !findings_.empty()) {
      ASSIGN_OR_RETURN(const bool agreed, Agree());
      if (agreed) {
        RevokeAll();
      } else {
        context_.TellNothingChanged();
      }
    }
    TellTotals();
    RETURN_IF_ERROR(Answer());
    // Whatever was said of a revocation comes first; what was not looked at, before what was found.
    if (context_.exit_code != kDone) return absl::OkStatus();
    const bool incomplete = truncated_ || (unreadable_count_ > 0 && !options_.ignore_unreadable);
    context_.exit_code = incomplete ? kFailed : findings_.empty() ? kDone : kDenied;
    return absl::OkStatus();
  }

 private:
  bool talks() const { return !context_.settings().json() && !context_.settings().quiet; }

  absl::Status CheckOptions() {
    ASSIGN_OR_RETURN(wait_, options_.wait.Parse());
    if (!options_.revoke) {
      if (!options_.reason.empty() || options_.yes || wait_ > absl::ZeroDuration()) {
        return absl::InvalidArgumentError("--reason, --yes and the waits go with --revoke");
      }
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(token::CheckReason(options_.reason, "--reason"));
    const bool from_stdin = std::find(options_.paths.begin(), options_.paths.end(),
                                      kStandardInput) != options_.paths.end();
    // Said before a long scan, not behind it.
    if (!options_.yes && (from_stdin || !context_.terminal().in_is_terminal)) {
      return absl::InvalidArgumentError(
          "--revoke asks before it revokes, and standard input is no terminal to ask at: look "
          "without it first, then give --yes");
    }
    return absl::OkStatus();
  }

  absl::Status Look() {
    ASSIGN_OR_RETURN(leaks::TokenScanner scanner, leaks::TokenScanner::ForBrands(options_.brands));
    const base::BootTime begun = context_.terminal().clock->Now();
    ScanInputs::Told told;
    told.found = [this](const std::string& path, const leaks::FoundToken& found) {
      return Add(path, found);
    };
    told.unreadable = [this](const std::string& path, const std::string& why) {
      ++unreadable_count_;
      const std::string shown = PathToShow(path);
      if (unreadable_.size() < kMostUnreadable) unreadable_.emplace_back(shown, why);
      live_.Clear();
      if (!context_.settings().json()) {
        context_.err() << "unreadable: " << OnOneLine(shown) << ": " << why << '\n' << std::flush;
      }
    };
    told.reading = [this](const std::string& path) { ShowLive(path); };
    ScanInputs inputs(scanner, std::move(told));
    inputs_ = &inputs;
    for (const std::string& path : options_.paths) {
      const bool goes_on =
          path == kStandardInput ? inputs.ReadStream(path, context_.in()) : inputs.ReadPath(path);
      if (!goes_on) break;
    }
    inputs_ = nullptr;
    live_.Clear();
    totals_ = inputs.totals();
    took_ = context_.terminal().clock->Now() - begun;
    return absl::OkStatus();
  }

  bool Add(const std::string& path, const leaks::FoundToken& found) {
    if (findings_.size() == kMostFindings) {
      truncated_ = true;
      return false;
    }
    findings_.push_back({PathToShow(path), found, {}});
    const bool first = tokens_.try_emplace(found.digest, findings_.size() - 1).second;
    // With --revoke --yes each is told once, with what became of it.
    if (options_.revoke && options_.yes) return true;
    live_.Clear();
    if (talks()) {
      Tell(findings_.back());
    } else if (context_.settings().quiet && first && !context_.settings().json()) {
      context_.out() << found.public_id << '\n' << std::flush;
    }
    return true;
  }

  void Tell(const Finding& finding) {
    context_.out() << OnOneLine(finding.place()) << "   " << KindWord(finding.found.kind)
                   << " token " << finding.found.public_id;
    if (!finding.outcome.word.empty()) context_.out() << "   " << finding.outcome.text();
    if (!finding.outcome.token.empty()) {
      context_.out() << "   " << SafeForTerminal(finding.outcome.token) << "   "
                     << SafeForTerminal(finding.outcome.label);
    }
    context_.out() << '\n' << std::flush;
  }

  void ShowLive(const std::string& path) {
    if (!talks() || !live_.in_place()) return;
    const base::BootTime now = context_.terminal().clock->Now();
    if (shown_.has_value() && now - *shown_ < kLiveEvery) return;
    shown_ = now;
    const ScanTotals& totals = inputs_->totals();
    live_.Show(absl::StrCat("scanning     ", Counted(totals.files, "file"), ", ",
                            HumanBytes(totals.bytes), ", ", findings_.size(), " found   ",
                            PathToShow(path), "\n"));
  }

  // "2 tokens in 3 places"
  std::string Hit() const {
    return absl::StrCat(Counted(tokens_.size(), "token"), " in ",
                        Counted(findings_.size(), "place"));
  }

  absl::StatusOr<bool> Agree() {
    return context_.Confirm(absl::StrCat("Revoke ", Hit(), "?"), options_.yes);
  }

  // One after the other: there are few, and each is one commit of the service's.
  void RevokeAll() {
    const absl::Time started = context_.now();
    if (wait_ > absl::ZeroDuration()) interrupt_.emplace();
    absl::Status failed;
    int64_t newest = -1;
    for (size_t i = 0; i < findings_.size(); ++i) {
      Finding& finding = findings_[i];
      const size_t first = tokens_.at(finding.found.digest);
      if (failed.ok() && i > 0 && interrupt_.has_value() &&
          interrupt_->Wait(absl::ZeroDuration()) == Interrupt::Woken::kInterrupted) {
        failed = base::Refuse(absl::StatusCode::kCancelled, "NOT_ALL_TRIED",
                              "interrupted: what was not tried is not revoked");
      }
      if (first < i) {
        finding.outcome = findings_[first].outcome;
      } else if (!failed.ok()) {
        finding.outcome.word = "not-tried";
      } else {
        tollgate::v1::RevokeLeakedTokenResponse response;
        failed = Revoke(finding, &response);
        if (response.revision() > newest) {
          newest = response.revision();
          receipt_ = response.receipt();
        }
      }
      if (talks()) {
        Tell(finding);
      } else if (context_.settings().quiet && !context_.settings().json() && options_.yes &&
                 first == i) {
        context_.out() << finding.found.public_id << '\n' << std::flush;
      }
    }
    context_.Fail(failed);
    if (absl::IsCancelled(failed)) context_.exit_code = kFailed;  // nobody said no
    if (wait_ == absl::ZeroDuration() || newest <= 0) return;
    WaitGoal goal;
    goal.revision = newest;
    goal.epoch = receipt_->epoch();
    goal.holds = options_.wait.holds;
    goal.at_most = wait_;
    goal.started = started;
    WaitAfterChange(context_, *interrupt_, goal, "revoked", &*receipt_);
  }

  absl::Status Revoke(Finding& finding, tollgate::v1::RevokeLeakedTokenResponse* response) {
    tollgate::v1::RevokeLeakedTokenRequest request;
    // The digest stands for the string, which does not leave this process (I6).
    request.set_edge_digest(finding.found.digest.bytes().data(),
                            finding.found.digest.bytes().size());
    request.set_reason(options_.reason.empty() ? DefaultReason(finding) : options_.reason);
    if (wait_ > absl::ZeroDuration()) request.mutable_wait_enforced();
    const absl::Status asked =
        context_.Ask(&TokenService::Stub::RevokeLeakedToken, request, response);
    if (base::ReasonOf(asked) == "TOKEN_UNKNOWN") {
      finding.outcome.word = "unknown";
      return absl::OkStatus();
    }
    if (!asked.ok()) {
      finding.outcome.word = "failed";
      return asked;
    }
    finding.outcome = {response->unchanged() ? "had-ended" : "revoked", response->token().name(),
                       response->token().label()};
    return absl::OkStatus();
  }

  void TellTotals() {
    if (!talks()) return;
    context_.err() << (findings_.empty() ? "nothing found" : absl::StrCat("found ", Hit())) << "; "
                   << Counted(totals_.files, "file") << ", " << HumanBytes(totals_.bytes) << ", "
                   << HumanElapsed(took_);
    if (unreadable_count_ > 0) context_.err() << "; " << unreadable_count_ << " unreadable";
    context_.err() << '\n';
    if (truncated_) {
      context_.err() << "The scan ended there: it tells of at most " << HumanCount(kMostFindings)
                     << " places. Scan parts of it.\n";
    }
  }

  absl::Status Answer() {
    if (!context_.settings().json()) return absl::OkStatus();
    nlohmann::json findings = nlohmann::json::array();
    for (const Finding& finding : findings_) {
      findings.push_back({{"path", finding.path},
                          {"line", finding.found.line},
                          {"column", finding.found.column},
                          {"offset", finding.found.offset},
                          {"kind", std::string(KindWord(finding.found.kind))},
                          {"brand", finding.found.brand},
                          {"token_id", finding.found.public_id},
                          {"outcome", finding.outcome.word},
                          {"token", finding.outcome.token}});
    }
    nlohmann::json unreadable = nlohmann::json::array();
    for (const auto& [path, why] : unreadable_) {
      unreadable.push_back({{"path", path}, {"error", why}});
    }
    nlohmann::json answer = {{"findings", std::move(findings)},
                             {"token_count", tokens_.size()},
                             {"files", totals_.files},
                             {"bytes", totals_.bytes},
                             {"unreadable", std::move(unreadable)},
                             {"unreadable_count", unreadable_count_},
                             {"truncated", truncated_}};
    if (wait_ > absl::ZeroDuration() && receipt_.has_value()) {
      std::string receipt;
      RETURN_IF_ERROR(WriteJson(*receipt_, JsonLayout::kLine, {}, &receipt));
      answer["receipt"] = nlohmann::json::parse(receipt);
    }
    context_.raw_out() << answer.dump(2, ' ', true, nlohmann::json::error_handler_t::replace)
                       << '\n';
    return absl::OkStatus();
  }

  Context& context_;
  const ScanOptions& options_;
  LiveLines live_;
  absl::optional<base::BootTime> shown_;
  const ScanInputs* inputs_ = nullptr;
  absl::Duration wait_;
  absl::optional<Interrupt> interrupt_;
  absl::optional<tollgate::v1::Receipt> receipt_;  // of the newest revocation

  std::vector<Finding> findings_;
  absl::flat_hash_map<token::EdgeDigest, size_t> tokens_;  // to its first finding
  std::vector<std::pair<std::string, std::string>> unreadable_;
  int64_t unreadable_count_ = 0;
  bool truncated_ = false;
  ScanTotals totals_;
  absl::Duration took_;
};

}  // namespace

void AddScanCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<ScanOptions>();
  CLI::App* verb = app.add_subcommand(
      "scan", "Find token strings that leaked into files, and revoke them where that is asked for");
  verb->add_option("path", options->paths,
                   "Files and folders; - is standard input. By default the folder that you are in");
  verb->add_option(
      "--brand", options->brands,
      "The brand of an installation whose tokens are looked for, by default tg; repeatable");
  verb->add_flag("--ignore-unreadable", options->ignore_unreadable,
                 "What cannot be read is told, and is no failure");
  verb->add_flag("--revoke", options->revoke, "Revoke what is found");
  verb->add_option("--reason", options->reason,
                   "With --revoke: kept with the token and in the audit log. By default where it "
                   "was found");
  verb->add_flag("-y,--yes", options->yes, "With --revoke: do not ask");
  options->wait.AddTo(*verb);
  verb->callback([&context, options] {
    if (options->paths.empty()) options->paths.push_back(".");
    context.Fail(Scan(context, *options).Run());
  });
}

}  // namespace tollgate::cli

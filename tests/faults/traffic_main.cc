// tollgate-traffic: the load of the fault runs, and their record of decisions.
//
// One JSON command a line on stdin, one JSON answer a line on stdout, in order:
//   {"do":"record","path":"…"}                       where decisions go; first
//   {"do":"create","service":"host:port","parent":"workspaces/acme","count":100}
//   {"do":"token","number":7,"token_string":"…"}     present it from now on
//   {"do":"focus","numbers":[7]}                     and more often than the others
//   {"do":"edge","name":"edge-1","address":"unix:/…","per_second":200,"deadline_ms":2000}
//   {"do":"leave","name":"edge-1"}                   ends its traffic
//   {"do":"counts"}                                  flushes, and counts
//   {"do":"churn","service":"host:port","tokens":[names],"events":1000000}
//   {"do":"churn_status"}
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/secret.h"
#include "net/address.h"
#include "nlohmann/json.hpp"
#include "tests/faults/churn.h"
#include "tests/faults/edge_traffic.h"

namespace tollgate::faults {
namespace {

using nlohmann::json;

class Traffic {
 public:
  json Do(const json& command) {
    const std::string what = command.at("do");
    if (what == "record") return Record(command.at("path"));
    if (what == "create") {
      Churn churn(AddressOf(command.at("service")));
      return {{"tokens", churn.Create(command.at("parent"), command.at("count"))}};
    }
    if (what == "token") {
      tokens_.Add(command.at("number"), command.at("token_string"));
      return json::object();
    }
    if (what == "focus") {
      for (int number : command.at("numbers")) tokens_.Focus(number);
      return json::object();
    }
    if (what == "edge") return Edge(command);
    if (what == "leave") {
      edges_.erase(command.at("name").get<std::string>());
      return json::object();
    }
    if (what == "counts") {
      if (history_ == nullptr) return json::object();
      history_->Flush();
      return history_->Counts();
    }
    if (what == "churn") {
      churn_ = std::make_unique<Churn>(AddressOf(command.at("service")));
      churn_->Start(command.at("tokens").get<std::vector<std::string>>(), command.at("events"));
      return json::object();
    }
    if (what == "churn_status" && churn_ != nullptr) return churn_->Status();
    return {{"error", absl::StrCat("not possible now: ", what)}};
  }

 private:
  static net::Address AddressOf(const std::string& text) {
    absl::StatusOr<net::Address> address = net::ParseAddress(text);
    if (!address.ok()) throw std::invalid_argument(address.status().ToString());
    return *std::move(address);
  }

  json Record(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "a");
    if (file == nullptr) return {{"error", absl::StrCat("cannot write ", path)}};
    history_ = std::make_unique<History>(file);
    return json::object();
  }

  json Edge(const json& command) {
    if (history_ == nullptr) return {{"error", "record comes first"}};
    EdgeTraffic::Options options;
    options.edge = command.at("name");
    options.address = AddressOf(command.at("address"));
    options.per_second = command.value("per_second", options.per_second);
    options.most_in_flight = command.value("in_flight", options.most_in_flight);
    options.deadline = absl::Milliseconds(command.value("deadline_ms", 2000));
    std::unique_ptr<EdgeTraffic>& edge = edges_[options.edge];
    edge.reset();
    edge = std::make_unique<EdgeTraffic>(std::move(options), &tokens_, history_.get());
    return json::object();
  }

  std::unique_ptr<History> history_;
  TokenChoice tokens_;
  std::map<std::string, std::unique_ptr<EdgeTraffic>> edges_;
  std::unique_ptr<Churn> churn_;
};

int Main() {
  base::InitSecrets();
  base::SetLogProgram("tollgate-traffic");
  base::SetLogLevel(base::LogLevel::kError);
  Traffic traffic;
  std::string line;
  while (std::getline(std::cin, line)) {
    json answer;
    try {
      answer = traffic.Do(json::parse(line));
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace tollgate::faults

int main() { return tollgate::faults::Main(); }

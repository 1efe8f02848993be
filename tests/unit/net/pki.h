// Certificates for the tests of TLS.
#ifndef TOLLGATE_TESTS_UNIT_NET_PKI_H_
#define TOLLGATE_TESTS_UNIT_NET_PKI_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "net/credentials.h"
#include "tests/unit/net/edge_server.h"

namespace tollgate::net {

// A small authority, made with the openssl command.
class Pki {
 public:
  Pki() {
    MakeCa("ca");
    MakeCa("other-ca");
    Issue("server", "ca", "URI:spiffe://tollgate.test/tollgated,DNS:tollgated.test");
    Issue("edge", "ca", "URI:spiffe://tollgate.test/edge-1");
    Issue("two", "ca", "URI:spiffe://tollgate.test/a,URI:spiffe://tollgate.test/b");
    Issue("server-first", "ca",
          "URI:spiffe://tollgate.test/tollgated,URI:spiffe://tollgate.test/b");
    Issue("server-last", "ca", "URI:spiffe://tollgate.test/b,URI:spiffe://tollgate.test/tollgated");
    Issue("server-and-web", "ca",
          "URI:spiffe://tollgate.test/tollgated,URI:https://tollgate.test/a");
    Issue("web", "ca", "URI:https://tollgate.test/a");
    Issue("nobody", "ca", "DNS:edge.test");
    Issue("stranger", "other-ca", "URI:spiffe://tollgate.test/edge-1");
  }
  TlsFiles Files(const std::string& name, const std::string& ca) const {
    return {folder_ / (name + ".pem"), folder_ / (name + ".key"),
            ca.empty() ? "" : folder_ / (ca + ".pem")};
  }
  std::string Path(const std::string& name) const { return folder_ / name; }

 private:
  void Run(const std::string& command) {
    ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
  }
  void MakeCa(const std::string& name) {
    Run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        "/CN=" +
        name + " -keyout " + (folder_ / (name + ".key")) + " -out " + (folder_ / (name + ".pem")));
  }
  void Issue(const std::string& name, const std::string& ca, const std::string& san) {
    const std::string base = folder_ / name;
    std::ofstream(base + ".ext") << "subjectAltName=" << san << "\n";
    Run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=" + name +
        " -keyout " + base + ".key -out " + base + ".csr");
    Run("openssl x509 -req -days 2 -CAcreateserial -in " + base + ".csr -CA " +
        (folder_ / (ca + ".pem")) + " -CAkey " + (folder_ / (ca + ".key")) + " -extfile " + base +
        ".ext -out " + base + ".pem");
  }
  TempFolder folder_;
};

inline const Pki& ThePki() {
  static const Pki pki;
  return pki;
}

}  // namespace tollgate::net

#endif  // TOLLGATE_TESTS_UNIT_NET_PKI_H_

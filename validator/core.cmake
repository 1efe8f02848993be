# The pure part: what an embedding program links. No gRPC.
tollgate_room(tollgate_validator_core
  SOURCES decision_cache.cc decision_counts.cc edge_clock.cc follower.cc resolver.cc
          usage_ledger.cc validator.cc
  DEPS tollgate_base tollgate_lease tollgate_token tollgate_proto absl::flat_hash_map PkgConfig::sodium)
# Position-independent code alone keeps gcc from inlining what another library might replace.
target_compile_options(tollgate_validator_core PRIVATE -fno-semantic-interposition)

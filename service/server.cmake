# What the control plane counts.
tollgate_room(tollgate_service_metrics
  SOURCES server_metrics.cc
  DEPS tollgate_service_hub prometheus-cpp::core absl::flat_hash_map)

# Where a store's files lie, for whoever opens it.
tollgate_room(tollgate_service_store_home
  SOURCES store_home.cc
  DEPS tollgate_service_history tollgate_lease tollgate_storage_engines tollgate_storage_journal)

# The server that joins the rooms, and the program.
tollgate_room(tollgate_service
  SOURCES built_in_bindings.cc exit_code.cc first_operator.cc flags.cc option_parts.cc rolled_back_end.cc server.cc
  DEPS tollgate_service_rpc tollgate_service_access tollgate_service_clock tollgate_service_health tollgate_service_keyring tollgate_service_sweep
       tollgate_service_restore tollgate_service_tokens
       tollgate_service_use tollgate_service_metrics tollgate_service_store_home
       tollgate_storage_engines tollgate_net)

tollgate_program(tollgated SOURCES main.cc DEPS tollgate_service)

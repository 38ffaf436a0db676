import Machine

extension PreparedScenario {
  /// The program and its arguments.
  var command: [String] { [path] + scenario.arguments }

  var programOptions: ProgramRun.Options {
    var options = ProgramRun.Options()
    options.memory = scenario.machine.memory
    options.cacheModel = scenario.machine.caches
    options.engine = scenario.machine.engine
    options.limit = scenario.limit
    options.environment = scenario.environment
    options.files = scenario.files
    return options
  }

  var bareOptions: BareRun.Options {
    var options = BareRun.Options()
    options.memory = scenario.machine.memory
    options.cacheModel = scenario.machine.caches
    options.engine = scenario.machine.engine
    options.harts = scenario.machine.harts
    options.entry = scenario.machine.entry
    options.limit = scenario.limit
    return options
  }
}

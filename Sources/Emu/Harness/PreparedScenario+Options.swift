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
    options.architecture = scenario.machine.guest.architecture
    options.files = scenario.files.keys.sorted()
    return options
  }

  /// What probes do to the run.
  var plan: ProbePlan {
    var plan = ProbePlan()
    plan.legacy = scenario.legacy
    plan.probesEveryInsn = scenario.probesEveryInsn
    plan.probes = scenario.probes
    return plan
  }

  /// What a trace of a run says of it.
  var recordedCommand: RecordedCommand {
    switch scenario.machine.board {
    case .linux:
      var options = programOptions
      options.plan = plan
      return .program(command, options)
    case .bare: return .bare(path, bareOptions)
    }
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

import ArgumentParser
import Engine
import Machine

/// What every command that runs a guest asks of its user.
struct GuestOptions: ParsableArguments {
  @Option(help: "Guest RAM.")
  var memory = ByteSize(512 << 20)

  @Option(
    help: "Caches: coherent, or architectural (stale until the guest executes the fence).")
  var caches = CacheModel.coherent

  @Option(help: "What random bytes in the guest follow from.")
  var seed = Count(0)

  @Option(
    name: .customLong("env"), help: "Set a variable in the program's environment (K=V).")
  var environment: [String] = []

  @Option(help: "A host directory, seen read-only as / by the program.")
  var root: String?

  @Option(
    name: .customLong("start-time"),
    help: ArgumentHelp(
      "What the guest's clock says at the start, if not what the host's does.",
      valueName: "seconds since 1970"))
  var startTime: Count?

  mutating func validate() throws {
    if let startTime, startTime.value > 1 << 33 {
      throw ValidationError("--start-time is at most \(1 << 33)")
    }
    for entry in environment where !entry.contains("=") || entry.hasPrefix("=") {
      throw ValidationError("--env wants NAME=VALUE, not '\(entry)'")
    }
    guard memory.bytes >= 4 << 20, memory.bytes <= 1 << 40 else {
      throw ValidationError("--memory is 4M to 1T")
    }
  }

  /// The options of a run that these are.
  func fill(_ options: inout ProgramRun.Options) {
    options.memory = memory.bytes
    options.cacheModel = caches
    options.root = root
    options.environment = environment
    options.seed = seed.value
    options.startOfRun = startOfRun
  }

  /// Nanoseconds since 1970.
  var startOfRun: UInt64? { startTime.map { $0.value * 1_000_000_000 } }
}

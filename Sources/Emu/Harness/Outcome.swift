import GuestKernel
import Machine
import Probes

/// One hit of an event.
public struct Hit: Sendable, Equatable {
  /// The event's name.
  public var event: String
  /// The task's number; 0 for the idle task.
  public var pid: Int32
  /// The task's name.
  public var comm: String
  /// Nanoseconds of guest time.
  public var time: UInt64
  /// The probed address; of a return the function's.
  public var address: UInt64
  /// What was fetched, as a trace line shows it.
  public var arguments: [(name: String, value: String)]

  /// The value of an argument.
  public subscript(_ name: String) -> String? { arguments.first { $0.name == name }?.value }

  /// Whether all parts are equal.
  public static func == (a: Hit, b: Hit) -> Bool {
    a.event == b.event && a.pid == b.pid && a.comm == b.comm && a.time == b.time
      && a.address == b.address
      && a.arguments.elementsEqual(b.arguments) { $0.name == $1.name && $0.value == $1.value }
  }

  /// `event name=value ... (pid 1)`.
  var text: String {
    ([event] + arguments.map { "\($0.name)=\($0.value)" } + ["(pid \(pid))"])
      .joined(separator: " ")
  }
}

/// What came of a run.
public struct Outcome: Sendable, Equatable {
  /// How it ended.
  public var ending: Ending
  /// Standard output, or a bare board's console.
  public var output: [UInt8] = []
  /// Standard error.
  public var errors: [UInt8] = []
  /// What the guest kernel printed.
  public var log: [String] = []
  /// The hits, in order.
  public var hits: [Hit] = []
  /// How often events were hit, and missed.
  public var table: [HitTable.Row] = []
  /// Figures: `instructions`, `exceptions`, and of a Linux machine `page-faults`,
  /// `context-switches`, `ticks`, `signals`, `tasks`, `syscalls` and `syscalls.NAME`.
  public var counters: [String: UInt64] = [:]
  /// Where a signal killed the program.
  public var fault: FatalSignal?
  /// What did not come out as was expected on the way (``Scenario/stops``).
  public var failures: [String] = []
}

extension Outcome {
  /// The first thing in which it is not another run's.
  func difference(from other: Outcome) -> String? {
    if self == other { return nil }
    if ending != other.ending { return "it ended with \(ending), not \(other.ending)" }
    if output != other.output { return "its output is another" }
    if errors != other.errors { return "its standard error is another" }
    if log != other.log { return "the kernel's log is another" }
    for (name, value) in counters.sorted(by: { $0.key < $1.key })
    where value != other.counters[name] {
      return "counter \(name) is \(value), not \(other.counters[name] ?? 0)"
    }
    if hits != other.hits || table != other.table { return "its hits are others" }
    return "the fault, or what was checked on the way, is another"
  }
}

extension Ending {
  /// `exit status 0`, `SIGSEGV`.
  public var description: String {
    switch self {
    case .status(let code): "exit status \(code)"
    case .signal(let number): "killed by \(Signal.name(number))"
    case .panic(let text): text.isEmpty ? "a kernel panic" : "kernel panic: \(text)"
    case .limit: "the limit of instructions"
    case .stuck: "everything waits and nothing can wake it"
    case .reset: "a reset"
    case .interrupted: "interrupted by the user"
    }
  }

  init(_ exit: ProgramExit) {
    switch exit {
    case .ended(.exited(let code)): self = .status(code)
    case .ended(.killed(let signal)): self = .signal(signal)
    case .ended(.panicked(let text)): self = .panic(text)
    case .limit: self = .limit
    case .stuck: self = .stuck
    case .interrupted: self = .interrupted
    }
  }

  init(_ exit: BareExit) {
    switch exit {
    case .finished(let status): self = .status(status)
    case .testFailed(let test): self = .status(Int32(clamping: test))
    case .limit: self = .limit
    case .stuck: self = .stuck
    case .reset: self = .reset
    case .shutDown: self = .panic("the processor was shut down")
    case .interrupted: self = .interrupted
    }
  }
}

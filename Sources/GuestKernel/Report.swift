/// How a program ended.
public enum ExitStatus: Sendable, Equatable {
  /// By `exit` with this status (0 to 255).
  case exited(Int32)
  /// By a signal.
  case killed(Int32)
  /// The guest kernel itself gave up (`DIE`): its message.
  case panicked(String)

  /// The status by which a shell reports it: 128 + n for signal n.
  public var shellStatus: Int32 {
    switch self {
    case .exited(let code): code
    case .killed(let signal): 128 &+ signal
    case .panicked: 255
    }
  }
}

/// A signal that killed a program.
public struct FatalSignal: Sendable, Equatable {
  /// Its number.
  public var signal: Int32
  /// Where the program was.
  public var pc: UInt64
  /// The faulting address, for signals that have one.
  public var address: UInt64?
  /// The thread's number.
  public var pid: Int32
  /// The task's name.
  public var comm: String
  /// The file that `pc` is mapped from, and the offset in the file.
  public var mapping: (path: String, offset: UInt64)?
  /// `name+0x10` for `pc`, where the file has symbols.
  public var symbol: String?

  /// Whether all parts are equal.
  public static func == (a: FatalSignal, b: FatalSignal) -> Bool {
    a.signal == b.signal && a.pc == b.pc && a.address == b.address && a.pid == b.pid
      && a.comm == b.comm && a.mapping?.path == b.mapping?.path
      && a.mapping?.offset == b.mapping?.offset
  }

  /// `SIGSEGV` and the like.
  public var name: String { Signal.name(signal) }
}

/// Counters of a run.
public struct KernelStatistics: Sendable, Equatable {
  /// Page faults handled.
  public var pageFaults: UInt64 = 0
  /// Switches from one task to another.
  public var contextSwitches: UInt64 = 0
  /// System calls begun, by name.
  public var syscalls: [String: UInt64] = [:]
  /// Calls that nobody serves (`ENOSYS`), by name, or number where it has none.
  public var unsupported: [String: UInt64] = [:]
  /// Timer interrupts.
  public var ticks: UInt64 = 0
  /// Signals delivered to handlers.
  public var signalsDelivered: UInt64 = 0
  /// Tasks created.
  public var tasksCreated: UInt64 = 0
}

extension Kernel {
  /// The counters so far.
  public func collectStatistics() -> KernelStatistics {
    var result = statistics
    for (index, row) in SyscallTable.rows.enumerated() where syscallCounts[index] > 0 {
      result.syscalls[row.name] = syscallCounts[index]
      if case .unsupported = row.status { result.unsupported[row.name] = syscallCounts[index] }
    }
    for (name, count) in unknownCounts { result.unsupported[name] = count }
    return result
  }
}

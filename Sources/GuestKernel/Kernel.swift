import Engine

/// The guest kernel's model: tasks, memory, files and signals. The guest's own kernel text calls
/// it through the gate (``gate(_:arguments:)``).
///
/// One host thread drives it; it has no locks and no clock but ``clock``.
public final class Kernel {
  /// What the model must know of the instruction set.
  public let isa: any KernelISA
  /// Guest RAM.
  public let ram: PhysicalMemory
  /// Its frames.
  public let frames: PageAllocator
  /// The world outside.
  public unowned let host: any HostServices
  /// The one hart.
  public var hart: Hart
  /// The guest kernel's text and symbols.
  public let image: KernelImage
  /// Nanoseconds of guest monotonic time: retired instructions and skipped idle time. Set by the
  /// machine.
  public var clock: () -> UInt64 = { 0 }

  /// A kernel that has not booted.
  public init(
    isa: any KernelISA, ram: PhysicalMemory, frames: PageAllocator, host: any HostServices,
    hart: Hart, image: KernelImage
  ) {
    self.isa = isa
    self.ram = ram
    self.frames = frames
    self.host = host
    self.hart = hart
    self.image = image
  }

  /// Nanoseconds of guest monotonic time.
  public var now: UInt64 { clock() }

  /// The value of a symbol of the guest kernel's image.
  public func symbol(_ name: String) -> UInt64? { image.symbols[name] }

  // MARK: What the machine asks between slices

  /// When the timer interrupt is next due, in ``now``'s nanoseconds. `nil`: never.
  public var nextDeadline: UInt64? { nil }
  /// Whether a task waits for console input.
  public var waitingForConsole: Bool { false }
  /// How the first program ended; the run is over once this is set.
  public internal(set) var exitStatus: ExitStatus?
  /// The fatal signal of the task that died of one most recently.
  public internal(set) var fatalSignal: FatalSignal?
  /// Counters.
  public internal(set) var statistics = KernelStatistics()
}

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
  /// The file that `pc` is mapped from, and the offset in it.
  public var mapping: (path: String, offset: UInt64)?

  /// Whether all parts are equal.
  public static func == (a: FatalSignal, b: FatalSignal) -> Bool {
    a.signal == b.signal && a.pc == b.pc && a.address == b.address && a.pid == b.pid
      && a.comm == b.comm && a.mapping?.path == b.mapping?.path
      && a.mapping?.offset == b.mapping?.offset
  }
}

/// Counters of a run.
public struct KernelStatistics: Sendable, Equatable {
  /// Page faults handled.
  public var pageFaults: UInt64 = 0
  /// Switches from one task to another.
  public var contextSwitches: UInt64 = 0
  /// System calls begun, by name.
  public var syscalls: [String: UInt64] = [:]
  /// Calls that returned `ENOSYS`, by name (or number where it has none).
  public var unsupported: [String: UInt64] = [:]
  /// Timer interrupts.
  public var ticks: UInt64 = 0
  /// Signals delivered to handlers.
  public var signalsDelivered: UInt64 = 0
  /// Tasks created.
  public var tasksCreated: UInt64 = 0
}

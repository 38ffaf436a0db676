import Engine

/// Errors of SBI calls.
///
/// - SeeAlso: RISC-V Supervisor Binary Interface Specification v2.0, "Binary Encoding".
public enum SBIError: Int64, Error, Sendable {
  /// SBI_ERR_FAILED.
  case failed = -1
  /// SBI_ERR_NOT_SUPPORTED.
  case notSupported = -2
  /// SBI_ERR_INVALID_PARAM.
  case invalidParam = -3
  /// SBI_ERR_DENIED.
  case denied = -4
  /// SBI_ERR_INVALID_ADDRESS.
  case invalidAddress = -5
  /// SBI_ERR_ALREADY_AVAILABLE.
  case alreadyAvailable = -6
  /// SBI_ERR_ALREADY_STARTED.
  case alreadyStarted = -7
  /// SBI_ERR_ALREADY_STOPPED.
  case alreadyStopped = -8
  /// SBI_ERR_NO_SHMEM.
  case noSharedMemory = -9
}

/// What a call leaves in the caller's registers.
public struct SBIResult: Sendable, Equatable {
  /// The new `a0`.
  ///
  /// `nil` where the call does not return here: the hart stopped, sleeps without keeping its state,
  /// trapped, or the machine ends.
  public var a0: UInt64?
  /// The new `a1`.
  ///
  /// `nil` where it keeps its value, as with legacy calls.
  public var a1: UInt64?

  /// A call that succeeded.
  public static func success(_ value: UInt64 = 0) -> SBIResult { SBIResult(a0: 0, a1: value) }
  /// A call that failed.
  ///
  /// The value is zero.
  public static func failure(_ error: SBIError) -> SBIResult {
    SBIResult(a0: UInt64(bitPattern: error.rawValue), a1: 0)
  }
  /// A legacy call's return value.
  public static func legacy(_ value: Int64) -> SBIResult {
    SBIResult(a0: UInt64(bitPattern: value), a1: nil)
  }
  /// A call that does not return here.
  public static var noReturn: SBIResult { SBIResult(a0: nil, a1: nil) }
}

/// State of a hart, numbered as `sbi_hart_get_status` gives it.
///
/// - SeeAlso: RISC-V Supervisor Binary Interface Specification v2.0, "HSM Hart States".
public enum SBIHartState: UInt64, Sendable {
  /// Runs.
  case started = 0
  /// Does not run.
  case stopped = 1
  /// Was asked to start.
  case startPending = 2
  /// Asked to stop.
  case stopPending = 3
  /// Sleeps.
  case suspended = 4
  /// Asked to sleep.
  case suspendPending = 5
  /// Wakes up.
  case resumePending = 6
}

/// Which translations a remote fence drops.
public struct SBIFence: Sendable, Equatable {
  /// The virtual addresses: start and byte count.
  ///
  /// `nil` is all of them.
  public var range: Range?
  /// The address space.
  ///
  /// `nil` is all of them.
  public var asid: UInt64?

  /// A range that does not wrap, though it may end at the top of the address space.
  public struct Range: Sendable, Equatable {
    /// The first address.
    public var start: UInt64
    /// How many bytes.
    public var size: UInt64
  }
}

/// How the guest asked the system to be reset.
public enum SBIReset: UInt32, Sendable {
  /// Power off.
  case shutdown = 0
  /// Power off and on.
  case coldReboot = 1
  /// Reset the harts.
  case warmReboot = 2
}

/// What the firmware asks of the machine.
///
/// Harts are numbered from zero to ``hartCount`` − 1; the firmware never passes another.
public protocol SBIHost: AnyObject {
  /// RAM.
  var ram: PhysicalMemory { get }
  /// How many harts.
  var hartCount: Int { get }
  /// Sets when STIP of the hart goes high (in `time` ticks) and takes it low now if that is ahead.
  func setTimer(_ time: UInt64, hart: Int)
  /// Sets SSIP of the hart.
  func sendIPI(to hart: Int)
  /// Clears SSIP of the hart and says whether it was set.
  func clearIPI(hart: Int) -> Bool
  /// Has the hart execute `fence.i`.
  func remoteFenceI(on hart: Int)
  /// Has the hart execute `sfence.vma`.
  func remoteSFence(_ fence: SBIFence, on hart: Int)
  /// The hart's state.
  func state(of hart: Int) -> SBIHartState
  /// Starts a stopped hart in S-mode: pc = `address`, a0 = hart, a1 = `opaque`, satp = 0,
  /// sstatus.SIE = 0.
  func start(hart: Int, address: UInt64, opaque: UInt64)
  /// Stops the calling hart.
  func stop(hart: Int)
  /// Puts the calling hart to sleep until an interrupt is pending for it; it goes on behind the call.
  func suspend(hart: Int)
  /// Likewise, but it goes on as ``start(hart:address:opaque:)`` says.
  func suspend(hart: Int, resumeAt address: UInt64, opaque: UInt64)
  /// Ends or restarts the machine.
  func reset(_ kind: SBIReset, systemFailure: Bool)
  /// Prints.
  func consoleWrite(_ bytes: [UInt8])
  /// The next byte that was typed, or `nil`. Never waits.
  func consoleRead() -> UInt8?
  /// Reads eight bytes at a virtual address as S-mode on this hart would. `nil` where that faults;
  /// then the host has made the exception pending, with the `ecall` as its pc.
  func loadVirtual(_ va: UInt64, hart: Int) -> UInt64?
}

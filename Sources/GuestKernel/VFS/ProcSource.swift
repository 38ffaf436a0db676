/// What `/proc` must know of tasks.
///
/// The tasks room implements it.
public protocol ProcSource: AnyObject {
  /// Process of the system call that runs now: `/proc/self`.
  var currentProcess: Int32 { get }
  /// Thread of the system call that runs now.
  var currentThread: Int32 { get }
  /// Processes that have not been reaped, ascending.
  var processes: [Int32] { get }
  /// Threads of a process, ascending; empty where there is no such process.
  func threads(of pid: Int32) -> [Int32]
  /// What is known of a task (process or thread); `nil` where there is no such.
  func status(of tid: Int32) -> ProcStatus?
  /// `/proc/pid/maps`; empty for a zombie.
  func maps(of tid: Int32) -> [UInt8]
  /// Bytes of its arguments, from its memory.
  func commandLine(of tid: Int32) -> [UInt8]
  /// Bytes of its environment.
  func environment(of tid: Int32) -> [UInt8]
  /// Bytes of its auxiliary vector.
  func auxiliaryVector(of tid: Int32) -> [UInt8]
  /// What it executes.
  func executable(of tid: Int32) -> Dentry?
  /// Its descriptors.
  func files(of tid: Int32) -> FileTable?
  /// Its place in the tree.
  func context(of tid: Int32) -> FileSystemContext?
  /// The memory of a process, for `/proc/pid/mem`.
  func memory(of tid: Int32) -> (any UserMemory)?
  /// The machine.
  var system: ProcSystem { get }
}

/// One task as `/proc/pid/stat` and `/proc/pid/status` show it.
public struct ProcStatus: Sendable {
  /// Ids.
  public var tid, process, parent, group, session: Int32
  /// At most 15 bytes.
  public var name: String
  /// `R`, `S`, `D`, `T`, `t`, `Z`, `X`.
  public var state: Character
  /// Nanoseconds of time: of this task (or all threads, for a process), and of reaped children.
  public var userTime, systemTime, childrenUserTime, childrenSystemTime: UInt64
  /// Nanoseconds from boot to its start.
  public var startTime: UInt64
  /// Bytes of address space, and resident pages.
  public var virtualSize, residentPages: UInt64
  /// Page faults: without and with input.
  public var minorFaults, majorFaults: UInt64
  /// Addresses of its image.
  public var codeStart, codeEnd, dataStart, dataEnd, heapStart, stackStart: UInt64
  /// Bits of signals.
  public var pendingSignals, sharedPendingSignals, blockedSignals, ignoredSignals,
    caughtSignals: UInt64
  /// Ids of its owner.
  public var credentials: Credentials
  /// Exit code as `wait4` gives it.
  public var exitCode: Int32
  /// Number of threads.
  public var threads: Int
  /// `nice`.
  public var nice: Int32
  /// Context switches: voluntary and not.
  public var voluntarySwitches, involuntarySwitches: UInt64

  /// A task of which only the ids and the name are known.
  public init(tid: Int32, process: Int32, parent: Int32, name: String) {
    self.tid = tid
    self.process = process
    self.parent = parent
    self.name = name
    group = process
    session = process
    state = "R"
    (userTime, systemTime, childrenUserTime, childrenSystemTime) = (0, 0, 0, 0)
    (startTime, virtualSize, residentPages, minorFaults, majorFaults) = (0, 0, 0, 0, 0)
    (codeStart, codeEnd, dataStart, dataEnd, heapStart, stackStart) = (0, 0, 0, 0, 0, 0)
    (pendingSignals, sharedPendingSignals, blockedSignals) = (0, 0, 0)
    (ignoredSignals, caughtSignals) = (0, 0)
    credentials = Credentials()
    exitCode = 0
    threads = 1
    nice = 0
    (voluntarySwitches, involuntarySwitches) = (0, 0)
  }
}

/// The machine as `/proc` shows it.
public struct ProcSystem: Sendable {
  /// `uname`'s fields.
  public var release, version, hostname, domainname: String
  /// The text of `/proc/cpuinfo`.
  public var cpuinfo: String
  /// Number of harts.
  public var harts: Int
  /// Nanoseconds since boot, in user mode, in the kernel, idle.
  public var uptime, userTime, systemTime, idleTime: UInt64
  /// Since boot: context switches, interrupts, tasks made.
  public var contextSwitches, interrupts, forks: UInt64
  /// Tasks that can run now.
  public var running: Int

  /// A machine of one hart that has just come up.
  public init(release: String, version: String, hostname: String, cpuinfo: String) {
    self.release = release
    self.version = version
    self.hostname = hostname
    self.cpuinfo = cpuinfo
    domainname = "(none)"
    harts = 1
    (uptime, userTime, systemTime, idleTime) = (0, 0, 0, 0)
    (contextSwitches, interrupts, forks) = (0, 0, 0)
    running = 1
  }
}

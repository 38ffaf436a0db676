import Engine

/// A thread group: what Linux keeps in `signal_struct` and in the group leader.
public final class Process: Archivable {
  /// Its number (`getpid`).
  public private(set) var pid: Int32
  /// Threads that have not ended, the oldest first.
  public internal(set) var threads: [Task] = []
  /// The process that waits for it.
  public internal(set) weak var parent: Process?
  /// Processes it waits for, the oldest first.
  public internal(set) var children: [Process] = []
  /// Process group.
  public internal(set) var pgid: Int32
  /// Session.
  public internal(set) var sid: Int32

  /// All threads have ended; `exitStatus` waits to be collected.
  public internal(set) var isZombie = false
  /// What `wait` reports: exit code in the second byte, signal in the first.
  public internal(set) var exitStatus: Int32 = 0
  /// Set when the group is ending: the status of all threads.
  @exclusivity(unchecked) var groupExit: Int32?
  /// The thread that execs and waits for the others to end.
  weak var execTask: Task?
  /// Woken when a thread ends.
  private(set) var threadQueue = WaitQueue()
  /// Woken when a child changes state.
  private(set) var childQueue = WaitQueue()
  /// The signal that its end sends to its parent.
  var exitSignal: Int32
  /// Whether it has called `execve` since its creation (`setpgid` refuses then).
  var didExec = false

  // MARK: Job control

  /// The signal that stops the group, while it is stopping or stopped.
  @exclusivity(unchecked) var groupStop: Int32?
  /// All threads have stopped.
  var isStopped = false
  /// A stop that `wait` has not reported.
  var stopToReport: Int32?
  /// A continuation that `wait` has not reported.
  var continueToReport = false

  /// Signals sent to the group.
  @exclusivity(unchecked) var pending = SignalQueue()
  /// Who it acts for.
  public internal(set) var credentials = Identity()
  /// Resource limits, soft and hard, by `RLIMIT_*`.
  var limits = ResourceLimits()
  /// `ITIMER_REAL`, `ITIMER_VIRTUAL`, `ITIMER_PROF`.
  @exclusivity(unchecked) var intervalTimers = [IntervalTimer(), IntervalTimer(), IntervalTimer()]
  /// Timers of `timer_create`.
  var posixTimers: [Int32: PosixTimer] = [:]
  var nextPosixTimer: Int32 = 0
  /// Time and use of threads that have ended.
  var endedRuntime: UInt64 = 0
  var endedUsage = TaskUsage()
  /// Time and use of children that were waited for.
  var childrenRuntime: UInt64 = 0
  var childrenUsage = TaskUsage()
  /// `PR_SET_CHILD_SUBREAPER`, `PR_SET_DUMPABLE`, `PR_SET_NO_NEW_PRIVS`.
  var isSubreaper = false
  var isDumpable = true
  var noNewPrivileges = false
  /// Bits of `MEMBARRIER_CMD_REGISTER_…` that were asked for.
  var membarrier: UInt32 = 0

  /// Path of the program (`/proc/pid/exe`).
  public internal(set) var executable = ""
  /// The program's file: nobody may write to it.
  var executableFile: OpenFile?
  /// Arguments and environment as given to `execve` (`/proc/pid/cmdline`, `environ`).
  public internal(set) var arguments: [[UInt8]] = []
  /// Its environment at `execve`.
  public internal(set) var environment: [[UInt8]] = []
  /// When it started.
  public private(set) var started: UInt64
  /// What its name was when its last thread ended.
  var lastName = ""

  init(
    pid: Int32, parent: Process?, pgid: Int32, sid: Int32, exitSignal: Int32, started: UInt64
  ) {
    self.pid = pid
    self.parent = parent
    self.pgid = pgid
    self.sid = sid
    self.exitSignal = exitSignal
    self.started = started
  }

  package init(placeholderFor a: Archive) {
    (pid, pgid, sid, exitSignal, started) = (0, 0, 0, 0, 0)
  }

  package func archive(_ a: Archive) {
    a("pid", &pid)
    a.refs("threads", &threads)
    a.ref("parent", &parent)
    a.refs("children", &children)
    a("pgid", &pgid)
    a("sid", &sid)
    a("isZombie", &isZombie)
    a("exitStatus", &exitStatus)
    a("groupExit", &groupExit)
    a.ref("execTask", &execTask)
    a.ref("threadQueue", &threadQueue)
    a.ref("childQueue", &childQueue)
    a("exitSignal", &exitSignal)
    a("didExec", &didExec)
    a("groupStop", &groupStop)
    a("isStopped", &isStopped)
    a("stopToReport", &stopToReport)
    a("continueToReport", &continueToReport)
    a("pending", &pending)
    a("credentials", &credentials)
    a("limits", &limits)
    a("intervalTimers", &intervalTimers)
    if intervalTimers.count != 3 { a.fail("a process with \(intervalTimers.count) timers") }
    a.refs("posixTimers", &posixTimers)
    a("nextPosixTimer", &nextPosixTimer)
    a("endedRuntime", &endedRuntime)
    a("endedUsage", &endedUsage)
    a("childrenRuntime", &childrenRuntime)
    a("childrenUsage", &childrenUsage)
    a("isSubreaper", &isSubreaper)
    a("isDumpable", &isDumpable)
    a("noNewPrivileges", &noNewPrivileges)
    a("membarrier", &membarrier)
    a("executable", &executable)
    a.ref("executableFile", &executableFile)
    a("arguments", &arguments)
    a("environment", &environment)
    a("started", &started)
    a("lastName", &lastName)
  }

  /// The thread whose number is the process's, or else the oldest.
  public var leader: Task? { threads.first { $0.tid == pid } ?? threads.first }

  /// The process's memory.
  public var space: AddressSpace? {
    for thread in threads {
      if let space = thread.space { return space }
    }
    return nil
  }

  /// Time of all its threads.
  public var runtime: UInt64 { threads.reduce(endedRuntime) { $0 &+ $1.runtime } }

  /// What all its threads used.
  var usage: TaskUsage {
    var sum = endedUsage
    for thread in threads { sum += thread.usage }
    return sum
  }

  /// Whether it is ending or has ended.
  var isEnding: Bool { groupExit != nil || isZombie }
}

/// Who a process acts for.
///
/// Everybody is root: numbers are kept and reported, nothing is refused because of them.
public struct Identity: Sendable, Equatable {
  /// Real, effective, saved and file-system user.
  public var ruid: UInt32 = 0, euid: UInt32 = 0, suid: UInt32 = 0, fsuid: UInt32 = 0
  /// Real, effective, saved and file-system group.
  public var rgid: UInt32 = 0, egid: UInt32 = 0, sgid: UInt32 = 0, fsgid: UInt32 = 0
  /// Supplementary groups.
  public var groups: [UInt32] = []
  /// Root's.
  public init() {}
}

/// `RLIMIT_*` of a process.
///
/// - SeeAlso: Linux, `include/asm-generic/resource.h`, `INIT_RLIMITS`.
public struct ResourceLimits: Sendable, Equatable {
  /// Numbers of limits.
  public static let cpu = 0, fileSize = 1, data = 2, stack = 3, core = 4, rss = 5
  /// Numbers of limits, continued.
  public static let processes = 6, files = 7, lockedMemory = 8, addressSpace = 9, locks = 10
  /// Numbers of limits, continued.
  public static let pendingSignals = 11, messageQueues = 12, nice = 13, rtPriority = 14
  /// The number of limits.
  public static let count = 16
  /// No limit.
  public static let infinity = UInt64.max

  private var values: [(soft: UInt64, hard: UInt64)]

  /// Linux's defaults.
  public init() {
    values = Array(repeating: (Self.infinity, Self.infinity), count: Self.count)
    values[Self.stack] = (8 << 20, Self.infinity)
    values[Self.core] = (0, Self.infinity)
    values[Self.processes] = (4096, 4096)
    values[Self.files] = (1024, 4096)
    values[Self.lockedMemory] = (8 << 20, 8 << 20)
    values[Self.pendingSignals] = (4096, 4096)
    values[Self.messageQueues] = (819_200, 819_200)
    values[Self.nice] = (0, 0)
    values[Self.rtPriority] = (0, 0)
  }

  /// A limit.
  ///
  /// Unknown numbers read as unlimited and can't be set.
  public subscript(index: Int) -> (soft: UInt64, hard: UInt64) {
    get { values.indices.contains(index) ? values[index] : (Self.infinity, Self.infinity) }
    set { if values.indices.contains(index) { values[index] = newValue } }
  }

  /// Whether all limits are equal.
  public static func == (a: ResourceLimits, b: ResourceLimits) -> Bool {
    a.values.elementsEqual(b.values) { $0.soft == $1.soft && $0.hard == $1.hard }
  }
}

extension Identity: Archived {
  package static func placeholder(_ a: Archive) -> Identity { Identity() }
  package mutating func archive(_ a: Archive) {
    a("ruid", &ruid)
    a("euid", &euid)
    a("suid", &suid)
    a("fsuid", &fsuid)
    a("rgid", &rgid)
    a("egid", &egid)
    a("sgid", &sgid)
    a("fsgid", &fsgid)
    a("groups", &groups)
  }
}

extension ResourceLimits: Archived {
  package static func placeholder(_ a: Archive) -> ResourceLimits { ResourceLimits() }
  package mutating func archive(_ a: Archive) {
    a.parts("values") {
      for index in values.indices {
        a("soft", &values[index].soft)
        a("hard", &values[index].hard)
      }
    }
  }
}

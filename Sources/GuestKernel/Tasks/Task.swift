import Engine

/// What a task is doing.
public enum TaskState: UInt8, Sendable, Equatable {
  /// It runs or waits for its turn.
  case runnable
  /// It sleeps until woken or until a signal comes (`TASK_INTERRUPTIBLE`).
  case interruptible
  /// It sleeps until woken or until a fatal signal comes (`TASK_KILLABLE`).
  case killable
  /// Job control stopped it (`TASK_STOPPED`).
  case stopped
  /// It has ended (`EXIT_ZOMBIE`, `EXIT_DEAD`).
  case dead
}

/// One thread of a program: what Linux calls `task_struct`.
public final class Task: Waiter, Archivable {
  /// Its number (`gettid`).
  public internal(set) var tid: Int32
  /// The thread group it belongs to.
  @exclusivity(unchecked) public private(set) var process: Process
  /// The kernel it belongs to.
  public unowned let kernel: Kernel
  /// Its 16 KiB block in guest memory.
  @exclusivity(unchecked) public private(set) var block: TaskBlock
  /// What it is doing.
  @exclusivity(unchecked) public internal(set) var state = TaskState.runnable
  /// Its name (`PR_SET_NAME`), at most 15 bytes.
  public var comm: String

  /// Its memory.
  ///
  /// `nil` once it has ended.
  @exclusivity(unchecked) public internal(set) var space: AddressSpace?
  /// Its file descriptors.
  public internal(set) var files: FileTable
  /// Its root, working directory and umask.
  public internal(set) var fs: FileSystemContext
  /// What its signals do.
  var handlers: SignalHandlers

  // MARK: Signals

  /// Blocked signals.
  @exclusivity(unchecked) var blocked = SignalSet()
  /// The mask to put back on the way to user mode (`TIF_RESTORE_SIGMASK`).
  var savedMask: SignalSet?
  /// Signals sent to this thread.
  @exclusivity(unchecked) var pending = SignalQueue()
  /// Signals that `rt_sigtimedwait` waits for: they wake it although blocked.
  var awaited = SignalSet()
  /// The alternate stack.
  var signalStack = SignalStack()
  /// Set by a system call that ended with a kernel-internal restart error.
  var restartResult: Errno?
  /// What `restart_syscall` continues.
  var restartBlock: RestartBlock?

  // MARK: Progress of the present system call

  /// What a blocked system call has achieved.
  ///
  /// `nil` at its first try.
  var progress: Progress?
  /// The present system call has blocked and will be tried again.
  var blockedInCall = false
  /// What the guest must do besides when the present system call returns.
  var replyActions: GateAction = []
  private var queues: [WaitQueue] = []
  private var timer: Timer?
  /// What probes keep for this task.
  @exclusivity(unchecked) public var probeState: AnyObject?
  /// Whether a parent waits in `vfork` until this task has its own memory.
  public var isVforkChild: Bool { vforkParent != nil }
  /// On the run queue.
  var queued = false

  // MARK: Thread state of Linux's ABI

  /// Where to write zero, and whom to wake, at the end (`CLONE_CHILD_CLEARTID`).
  var clearChildTID: UInt64 = 0
  /// Robust futex list.
  var robustList: (head: UInt64, length: UInt64) = (0, 0)
  /// The parent that waits in `vfork` until this task has its own memory.
  weak var vforkParent: Task?
  /// Signal to this task when its parent's thread ends (`PR_SET_PDEATHSIG`).
  var parentDeathSignal: Int32 = 0
  /// Who created it, for `PR_SET_PDEATHSIG`.
  weak var creator: Task?
  /// CPUs it may run on.
  var affinity: UInt64 = 1
  /// Scheduling policy, parameter and niceness: kept and reported, without effect.
  var policy: (policy: Int32, priority: Int32) = (0, 0)
  /// Niceness.
  var nice: Int32 = 0
  /// Slack of its timers (`PR_SET_TIMERSLACK`).
  var timerSlack: UInt64 = 50_000

  // MARK: Time

  /// Guest time spent running.
  public internal(set) var runtime: UInt64 = 0
  /// When it started.
  public private(set) var started: UInt64
  /// Voluntary and involuntary switches, minor and major faults.
  var usage = TaskUsage()

  init(
    tid: Int32, process: Process, kernel: Kernel, block: TaskBlock, space: AddressSpace?,
    files: FileTable, fs: FileSystemContext, handlers: SignalHandlers, comm: String
  ) {
    self.tid = tid
    self.process = process
    self.kernel = kernel
    self.block = block
    self.space = space
    self.files = files
    self.fs = fs
    self.handlers = handlers
    self.comm = comm
    started = kernel.now
  }

  package init(placeholderFor a: Archive) {
    tid = 0
    process = a.placeholder(Process.self)
    kernel = a.kernel
    block = a.noBlock
    state = .dead
    files = a.placeholder(FileTable.self)
    fs = a.placeholder(FileSystemContext.self)
    handlers = a.placeholder(SignalHandlers.self)
    comm = ""
    started = 0
  }

  package func archive(_ a: Archive) {
    a("tid", &tid)
    a.ref("process", &process)
    a("block", &block)
    a.enumeration("state", &state)
    a("comm", &comm)
    a.ref("space", &space)
    a.ref("files", &files)
    a.ref("fs", &fs)
    a.ref("handlers", &handlers)
    a("blocked", &blocked)
    a("savedMask", &savedMask)
    a("pending", &pending)
    a("awaited", &awaited)
    a("signalStack", &signalStack)
    a("restartResult", &restartResult)
    a("restartBlock", &restartBlock)
    a("progress", &progress)
    a("blockedInCall", &blockedInCall)
    a("replyActions", &replyActions)
    a.refs("queues", &queues)
    a.ref("timer", &timer)
    a.any("probeState", &probeState)
    a("queued", &queued)
    a("clearChildTID", &clearChildTID)
    a.parts("robustList") {
      a("head", &robustList.head)
      a("length", &robustList.length)
    }
    a.ref("vforkParent", &vforkParent)
    a("parentDeathSignal", &parentDeathSignal)
    a.ref("creator", &creator)
    a("affinity", &affinity)
    a.parts("policy") {
      a("policy", &policy.policy)
      a("priority", &policy.priority)
    }
    a("nice", &nice)
    a("timerSlack", &timerSlack)
    a("runtime", &runtime)
    a("started", &started)
    a("usage", &usage)
    a.transient(["kernel"])
  }

  /// It belongs to a state that is no more: nothing wakes it.
  func retire() { state = .dead }

  /// Whether it is the thread whose number is the process's.
  public var isLeader: Bool { tid == process.pid }

  // MARK: Sleeping

  /// Sleeps until one of `queues` or the deadline wakes it.
  ///
  /// The system call is made again then.
  public func sleep(on queues: [WaitQueue], until deadline: UInt64?, state: TaskState) {
    stopWaiting()
    self.queues = queues
    for queue in queues { queue.add(self) }
    if let deadline, deadline < .max {
      timer = kernel.at(deadline, self)
    }
    self.state = state
  }

  /// Forgets what it slept on.
  func stopWaiting() {
    if !queues.isEmpty {
      for queue in queues { queue.remove(self) }
      queues.removeAll(keepingCapacity: true)
    }
    timer?.cancel()
    timer = nil
  }

  /// Whether it sleeps on a queue.
  func sleeps(on queue: WaitQueue) -> Bool {
    state != .runnable && queues.contains { $0 === queue }
  }

  /// Makes it runnable, if it sleeps.
  public func wake() {
    switch state {
    case .interruptible, .killable:
      state = .runnable
      kernel.enqueue(self)
    case .runnable, .stopped, .dead: break
    }
  }

  /// Wakes it from job control's stop.
  func wakeStopped() {
    guard state == .stopped else { return }
    state = .runnable
    kernel.enqueue(self)
  }
}

/// What a thread used besides time.
struct TaskUsage {
  var voluntarySwitches: UInt64 = 0
  var involuntarySwitches: UInt64 = 0
  var minorFaults: UInt64 = 0
  var majorFaults: UInt64 = 0

  static func += (a: inout TaskUsage, b: TaskUsage) {
    a.voluntarySwitches &+= b.voluntarySwitches
    a.involuntarySwitches &+= b.involuntarySwitches
    a.minorFaults &+= b.minorFaults
    a.majorFaults &+= b.majorFaults
  }
}

/// What a blocked system call keeps between its tries.
struct Progress {
  /// When it gives up.
  var deadline: UInt64?
  /// Bytes moved so far.
  var bytes = 0
  /// Which stage it reached.
  var stage = 0
  /// Anything else.
  var object: AnyObject?
}

/// What `restart_syscall` continues.
enum RestartBlock {
  case nanosleep(deadline: UInt64, remaining: UInt64)
  case futex(
    address: UInt64, value: UInt32, deadline: UInt64, bitset: UInt32, isPrivate: Bool)
  case poll(descriptors: UInt64, count: UInt64, deadline: UInt64)
}

extension Task: TimerTarget {
  func timerFired(_ timer: Timer, _ kernel: Kernel) { wake() }
}

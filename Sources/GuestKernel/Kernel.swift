import Engine

/// The guest kernel's model: tasks, memory, files and signals.
///
/// The guest's own kernel text calls it through the gate (``gate(_:arguments:)``).
///
/// One host thread drives it; it has no locks and no clock but ``clock``.
public final class Kernel {
  /// What the model must know of the instruction set.
  public let isa: any KernelISA
  /// Guest RAM.
  public let ram: PhysicalMemory
  /// Its frames.
  @exclusivity(unchecked) public internal(set) var frames: PageAllocator
  /// The world outside.
  public unowned let host: any HostServices
  /// The one hart.
  public var hart: Hart
  /// The guest kernel's text and symbols.
  ///
  /// `nil` only in tests of the model alone.
  public let image: KernelImage?
  /// Mounts and the root.
  public internal(set) var vfs: VFS
  /// System calls by number and name.
  public let syscalls: SyscallTable
  /// Nanoseconds of guest monotonic time: retired instructions and skipped idle time.
  ///
  /// Set by the machine; must never go back.
  @exclusivity(unchecked) public var clock: () -> UInt64 = { 0 }
  /// Seen by the model for what the ISA calls a trap: the signal and `si_code` for a `TRAP` gate
  /// call's cause.
  ///
  /// Set by the machine; every trap is an illegal instruction otherwise.
  ///
  /// The hart is the one that has just taken the trap, if there was one.
  public var classifyTrap: (_ cause: UInt64, _ hart: Hart?) -> TrapSignal = { _, _ in .illegal }
  /// Asked in order about each trap and page fault before the kernel looks at it (Linux's
  /// die-notifier chain): probes.
  ///
  /// They are not kept alive by the kernel, which most of them keep alive.
  @exclusivity(unchecked) public private(set) var trapHooks: [TrapHookEntry] = []
  /// Told about processes and their memory: probes.
  ///
  /// It is not kept alive, and sets this to `nil` before it goes.
  public var observer: (any ProcessObserver)? {
    get { observers.observer }
    set { observers.observer = newValue }
  }
  let observers = ObserverPlace()
  /// Guest kernel text was written: the next answer through the gate has the guest synchronise its
  /// instruction fetch.
  @exclusivity(unchecked) public var instructionFlushNeeded = false
  /// Interrupts the hart, so that the guest comes through the gate soon and does what the answer
  /// says: set by the machine.
  public var interruptHart: () -> Void = {}
  /// Whether a call of the guest is being served: its answer reaches the guest anyway.
  @exclusivity(unchecked) public internal(set) var isServing = false
  /// Receives the lines that the guest kernel prints (`CONSOLE`, oops reports).
  public var log: (String) -> Void = { _ in }

  /// The page tables that every address space's upper half is copied from.
  public internal(set) var kernelRoot: UInt64 = 0
  /// The task that runs.
  ///
  /// `nil`: the idle task.
  @exclusivity(unchecked) public internal(set) var current: Task?
  /// Whether the idle task runs.
  @exclusivity(unchecked) public internal(set) var isIdle = true
  /// The first program: the run ends with it.
  @exclusivity(unchecked) public internal(set) var firstProcess: Process?
  /// Tasks by number.
  public internal(set) var tasks: [Int32: Task] = [:]
  /// Processes by number, zombies too.
  public internal(set) var processes: [Int32: Process] = [:]
  /// How the first program ended; the run is over once this is set.
  ///
  /// Tasks that still exist then are gone with it, as in a container whose init ends.
  @exclusivity(unchecked) public internal(set) var exitStatus: ExitStatus?
  /// The fatal signal of the task that died of one most recently.
  public internal(set) var fatalSignal: FatalSignal?
  /// Counters; ``KernelStatistics/syscalls`` and `unsupported` are filled in by
  /// ``collectStatistics()``.
  public internal(set) var statistics = KernelStatistics()
  /// What `uname` and `sethostname` call this machine.
  public internal(set) var hostname = "emu"
  /// The NIS domain name.
  public internal(set) var domainname = "(none)"

  // Facts of the instruction set that every trap needs.

  /// Bytes in a saved frame (``PtRegsLayout/size``).
  public let frameSize: UInt64
  /// Where the pc lies in one.
  public let framePC: Int
  /// Where the stack pointer lies in one.
  public let frameSP: Int
  let linearMapBase: UInt64

  let taskLayout: TaskLayout
  // What every call through the gate looks at is not checked for exclusive access: one thread
  // drives the model, and no access to these is under way while anything else runs.
  @exclusivity(unchecked) var timers = TimerHeap()
  @exclusivity(unchecked) var runQueue: [Task] = []
  @exclusivity(unchecked) var runQueueHead = 0
  @exclusivity(unchecked) var quantumEnd: UInt64 = 0
  @exclusivity(unchecked) var runStart: UInt64 = 0
  var idleBlock: TaskBlock?
  var signalPages: SpecialPages?
  @exclusivity(unchecked) var deadBlocks: [TaskBlock] = []
  /// Address spaces that the hart may still be in, and those that it has left.
  var dyingSpaces: [AddressSpace] = []
  @exclusivity(unchecked) var deadSpaces: [AddressSpace] = []
  var nextPID: Int32 = 1
  var nextASID: UInt16 = 0
  @exclusivity(unchecked) var asidsWrapped = false
  var futexes = FutexTable()
  /// Standard input of the first program: who waits for it, waits for the machine's console.
  var console: OpenFile?
  /// The terminal's session and its foreground process group.
  public internal(set) var terminalSession: Int32 = 1
  /// The process group that the terminal's signals go to.
  public internal(set) var foregroundGroup: Int32 = 1
  /// The text of `/proc/cpuinfo`: set by the machine.
  public var cpuinfo = ""
  private(set) lazy var proc = ProcTables(self)
  /// What `clock_settime` added to the clock of the day.
  var realtimeOffset: Int64 = 0
  var syscallCounts: [UInt64]
  var unknownCounts: [String: UInt64] = [:]

  /// The release that `uname` reports.
  public static let release = "6.6.0-emu"
  /// The version that `uname` reports.
  public static let version = "#1 SMP PREEMPT_DYNAMIC emu"

  deinit { takeApart() }

  /// Tasks and processes hold each other no more.
  func takeApart() {
    for task in tasks.values {
      task.process.threads = []
      task.process.children = []
    }
    for process in processes.values {
      process.threads = []
      process.children = []
    }
  }

  /// A kernel that has not booted.
  public init(
    isa: any KernelISA, ram: PhysicalMemory, frames: PageAllocator, host: any HostServices,
    hart: Hart, image: KernelImage?, vfs: VFS
  ) {
    self.isa = isa
    self.ram = ram
    self.frames = frames
    self.host = host
    self.hart = hart
    self.image = image
    self.vfs = vfs
    let frame = isa.ptRegs
    frameSize = UInt64(frame.size)
    framePC = frame.pc
    frameSP = frame.sp
    linearMapBase = isa.linearMapBase
    syscalls = SyscallTable(isa: isa)
    syscallCounts = Array(repeating: 0, count: SyscallTable.rows.count)
    taskLayout = TaskLayout(image: image, regsSize: isa.ptRegs.size)
  }

  /// Nanoseconds of guest monotonic time.
  public var now: UInt64 { clock() }

  /// Nanoseconds since 1970 by the guest's clock of the day.
  public var realtime: UInt64 { host.startOfRun &+ now &+ UInt64(bitPattern: realtimeOffset) }

  /// The value of a symbol of the guest kernel's image.
  public func symbol(_ name: String) -> UInt64? { image?.symbol(name) }

  // MARK: What the machine asks between slices

  /// When the timer interrupt is next due, in ``now``'s nanoseconds.
  ///
  /// `nil`: never.
  ///
  /// Deadlines in the past are due at once.
  public var nextDeadline: UInt64? {
    let timer = timers.next
    guard !isIdle, hasRunnable || current?.process.hasCPUTimer ?? false else { return timer }
    let turn = cpuDeadline
    return timer.map { min($0, turn) } ?? turn
  }

  private var cpuDeadline: UInt64 {
    guard let current else { return quantumEnd }
    let timer = current.process.nextCPUTimer.map { runStart &+ $0 } ?? .max
    return hasRunnable ? min(quantumEnd, timer) : timer
  }

  /// The task that runs.
  ///
  /// `nil`: the idle task.
  @inline(never)
  public var running: RunningTask? {
    guard let task = current else { return nil }
    let space = task.space
    return RunningTask(
      task: task, space: space, taskState: task.probeState, spaceState: space?.probeState)
  }

  /// Whether the run is over, or ``nextDeadline`` is another than the given one.
  public func isAnother(than deadline: UInt64?) -> Bool {
    exitStatus != nil || nextDeadline != deadline
  }

  /// Whether a task waits for console input.
  public var waitingForConsole: Bool { !(console?.readQueue?.isEmpty ?? true) }

  /// Tells tasks that wait for console input to look again: called by the machine once the host has
  /// some, or has reached its end.
  ///
  /// A hart that waits must then be given an interrupt.
  public func consoleInputArrived() { vfs.consoleInputArrived() }

  /// Whether nothing can ever happen again: no task is runnable, no timer is set, nobody waits
  /// for the console.
  public var isStuck: Bool {
    isIdle && !hasRunnable && nextDeadline == nil && !waitingForConsole && exitStatus == nil
  }

  /// Processes that have not been waited for and have threads.
  var liveProcesses: [Process] {
    processes.values.filter { !$0.isZombie }.sorted { $0.pid < $1.pid }
  }
}

/// The signal that a trap of user mode raises.
public struct TrapSignal: Sendable, Equatable {
  /// Its number.
  public var signal: Int32
  /// `si_code`.
  public var code: Int32

  /// A signal with its code.
  public init(signal: Int32, code: Int32) {
    self.signal = signal
    self.code = code
  }

  /// `SIGILL`, illegal opcode.
  public static let illegal = TrapSignal(signal: Signal.SIGILL, code: 1)
  /// `SIGTRAP`, breakpoint.
  public static let breakpoint = TrapSignal(signal: Signal.SIGTRAP, code: 1)
  /// `SIGTRAP`, a breakpoint of the processor's registers.
  public static let hardwareBreakpoint = TrapSignal(signal: Signal.SIGTRAP, code: 4)
  /// `SIGTRAP`, trace.
  public static let trace = TrapSignal(signal: Signal.SIGTRAP, code: 2)
  /// What the processor says of its own accord (`SI_KERNEL`): the signal has no address.
  public static func kernel(_ signal: Int32) -> TrapSignal {
    TrapSignal(signal: signal, code: SignalInfo.SI_KERNEL)
  }
  /// `SIGBUS`, misaligned.
  public static let misaligned = TrapSignal(signal: Signal.SIGBUS, code: 1)
  /// `SIGSEGV`, access not allowed.
  public static let access = TrapSignal(signal: Signal.SIGSEGV, code: 2)
}

/// A trap or page fault as the guest's entry code has saved it.
public struct KernelTrap: ~Copyable {
  /// Address of the saved registers in guest memory.
  public let regs: UInt64
  /// The same in the host's; it is marked as written.
  public let frame: UnsafeMutableRawPointer
  /// The faulting address, `nil` for a `TRAP`.
  public let address: UInt64?
  /// The ISA's cause, or for a fault the access (0 load, 1 store, 2 fetch).
  public let cause: UInt64
}

/// The task that runs, with what a trap of user mode needs of it.
public struct RunningTask {
  /// The task.
  public let task: Task
  /// Its memory.
  public let space: AddressSpace?
  /// What probes keep for the task.
  public let taskState: AnyObject?
  /// What probes keep for its memory.
  public let spaceState: AnyObject?
}

/// One of a kernel's hooks: whoever adds it takes it out before it goes.
public struct TrapHookEntry {
  // Counting would cost as much as the rest of a hit.
  /// The hook.
  public unowned(unsafe) let hook: any TrapHook
  fileprivate let id: ObjectIdentifier

  fileprivate init(_ hook: any TrapHook) {
    self.hook = hook
    id = ObjectIdentifier(hook)
  }
}

extension Kernel {
  /// Has a hook asked about each trap, behind those that are.
  public func add(_ hook: any TrapHook) { trapHooks.append(TrapHookEntry(hook)) }

  /// Asks a hook no more.
  public func remove(_ hook: any TrapHook) {
    let id = ObjectIdentifier(hook)
    trapHooks.removeAll { $0.id == id }
  }
}

/// Sees traps before the kernel does.
public protocol TrapHook: AnyObject {
  /// A trap or page fault.
  ///
  /// - Returns: an answer where the hook deals with it.
  func trap(_ kernel: Kernel, _ trap: borrowing KernelTrap) -> GateReply?

  /// A kernel probe that is a jump was hit, with the registers at `regs` in guest memory.
  func jumpedProbe(_ kernel: Kernel, address: UInt64, regs: UInt64)

  /// A trap of user mode is about to raise a signal: the saved registers may be changed before.
  func trapRaisesSignal(_ kernel: Kernel, _ task: Task, regs: UInt64)

  /// A task on its way to user mode has signals.
  ///
  /// - Returns: whether they have to wait (until ``Kernel/recalculateSignals(_:)``).
  func holdsSignals(_ kernel: Kernel, _ task: Task, regs: UInt64) -> Bool
}

extension TrapHook {
  /// There are none.
  public func jumpedProbe(_ kernel: Kernel, address: UInt64, regs: UInt64) {}
  /// Nothing to do.
  public func trapRaisesSignal(_ kernel: Kernel, _ task: Task, regs: UInt64) {}
  /// They need not wait.
  public func holdsSignals(_ kernel: Kernel, _ task: Task, regs: UInt64) -> Bool { false }
}

/// Where a kernel and its address spaces find who observes them.
///
/// It is one place for all, so that an observer that goes need only be taken out here. A weak reference would
/// make every count of references to the observer slow, which each trap asks.
final class ObserverPlace {
  unowned(unsafe) var observer: (any ProcessObserver)?
}

/// Told about tasks and their memory as they come and go.
public protocol ProcessObserver: AnyObject, AddressSpaceObserver {
  /// A task has taken on a program, which is mapped.
  func executed(_ task: Task)
  /// A task has made another one, which has not run yet.
  func cloned(_ parent: Task, _ child: Task)
  /// A task is about to give up its memory: it ends, or takes on a program.
  func releasing(_ task: Task)
  /// The kernel stack (``TaskBlock``) at an address is used by nobody any more.
  func freed(stack va: UInt64)
}

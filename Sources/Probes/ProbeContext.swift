import Engine
import GuestKernel

/// Who sees what simulated instructions do to memory: no hart does it.
final class SimulationObserver {
  /// An instruction has stored so many bytes at an address.
  @exclusivity(unchecked) var didStore: ((_ va: UInt64, _ size: Int) -> Void)?
}

/// What a handler sees of a hit: the saved registers, which it may change, and memory.
///
/// Good during the call of the handler only.
public final class ProbeContext {
  /// The kernel.
  public let kernel: Kernel
  /// The task that hit; `nil` for the idle task.
  public var task: Task? { inUserMode ? kernel.current : owner.task }
  /// Address of the saved registers in guest memory.
  @exclusivity(unchecked) public internal(set) var regsVA: UInt64
  /// Whether this is a return probe's handler at the return.
  @exclusivity(unchecked) public internal(set) var isReturn = false
  /// The probed address; for return probes the entry of the function.
  @exclusivity(unchecked) public internal(set) var function: UInt64 = 0
  /// At a return: where the function returns to.
  @exclusivity(unchecked) public internal(set) var returnAddress: UInt64 = 0
  /// For return probes: kept from the entry handler to the return handler of the same call.
  @exclusivity(unchecked) public var data: AnyObject?

  let isa: any ProbeISA
  private let simulations: SimulationObserver
  /// The kernel stack in use.
  var stack: UInt64 { inUserMode ? 0 : owner.block }
  @exclusivity(unchecked) private var inUserMode: Bool
  /// The stack pointer at the hit.
  @exclusivity(unchecked) private var interruptedSP: UInt64 = 0
  /// The frame, in guest RAM.
  @exclusivity(unchecked) private(set) var frame: UnsafeMutableRawPointer

  init(
    kernel: Kernel, isa: any ProbeISA, regsVA: UInt64, frame: UnsafeMutableRawPointer,
    isUser: Bool, simulations: SimulationObserver
  ) {
    self.simulations = simulations
    self.kernel = kernel
    self.isa = isa
    self.regsVA = regsVA
    self.frame = frame
    inUserMode = isUser
    interruptedSP = sp
  }

  /// Serves another hit: one object does for all hits whose handlers do not keep it.
  func begin(_ regsVA: UInt64, _ frame: UnsafeMutableRawPointer, isUser: Bool) {
    self.regsVA = regsVA
    self.frame = frame
    isReturn = false
    function = 0
    returnAddress = 0
    inUserMode = isUser
    interruptedSP = sp
  }

  /// The hit has been served.
  func end() { if data != nil { data = nil } }

  /// Whose kernel stack is in use: the frame may lie on one of the exception's own; the interrupted
  /// one is the task's.
  private var owner: (task: Task?, block: UInt64) {
    let owner = kernel.stackOwner(regsVA)
    return owner.block == 0 ? kernel.stackOwner(interruptedSP) : owner
  }

  // MARK: Registers

  func load(_ offset: Int) -> UInt64 {
    frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
  }
  func store(_ offset: Int, _ value: UInt64) {
    frame.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
  }

  /// The saved pc: of the probed instruction in a pre handler, of the next one in a post handler.
  ///
  /// Deviation: on x86 Linux's kprobes see the address behind the INT3 in a pre handler (`regs->ip`),
  /// that of the instruction plus one; its uprobes see the instruction's. Here all do.
  public var pc: UInt64 {
    get { load(kernel.framePC) }
    set { store(kernel.framePC, newValue) }
  }
  /// The stack pointer.
  public var sp: UInt64 {
    get { load(kernel.frameSP) }
    set { store(kernel.frameSP, newValue) }
  }
  /// Whether the hit was in user mode.
  public var isUser: Bool { isa.isUser(UnsafeRawPointer(frame)) }
  /// All saved registers, in the layout of `struct pt_regs`.
  public var regs: [UInt8] {
    Array(UnsafeRawBufferPointer(start: frame, count: kernel.isa.ptRegs.size))
  }

  /// A general register by number; one that is always zero, or does not exist, is 0.
  public subscript(register number: Int) -> UInt64 {
    get { isa.registerOffset(number).map(load) ?? 0 }
    set { if let offset = isa.registerOffset(number) { store(offset, newValue) } }
  }

  /// A register by name (`regs_query_register_offset`); `nil` where there is none of this name.
  public func register(_ name: String) -> UInt64? { isa.registerOffset(name).map(load) }

  /// Changes a register by name.
  ///
  /// - Returns: whether there is one of this name.
  @discardableResult
  public func setRegister(_ name: String, _ value: UInt64) -> Bool {
    guard let offset = isa.registerOffset(name) else { return false }
    store(offset, value)
    return true
  }

  /// The function's result, at its return.
  public var returnValue: UInt64 {
    get { load(isa.returnValueOffset) }
    set { store(isa.returnValueOffset, newValue) }
  }

  /// The n-th argument, from 1 as in Linux's `$arg1`, at the function's entry; `nil` where it can't
  /// be read.
  public func argument(_ n: Int) -> UInt64? {
    guard n >= 1 else { return nil }
    if let offset = isa.argumentOffset(n - 1) { return load(offset) }
    guard let word = isa.argumentWord(n - 1) else { return nil }
    return loadMemory(sp &+ UInt64(word) &* 8, 8)
  }

  /// Changes the n-th argument, from 1.
  ///
  /// - Returns: whether it could be.
  @discardableResult
  public func setArgument(_ n: Int, _ value: UInt64) -> Bool {
    guard n >= 1 else { return false }
    if let offset = isa.argumentOffset(n - 1) {
      store(offset, value)
      return true
    }
    guard let word = isa.argumentWord(n - 1) else { return false }
    return correctMemory(sp &+ UInt64(word) &* 8, 8, value)
  }

  /// Has the function that begins here return at once.
  ///
  /// - Returns: what the handler is to return.
  /// - SeeAlso: Linux, `arch/x86/lib/error-inject.c`, `override_function_with_return`
  public func overrideFunction(returning value: UInt64) -> ProbeAction {
    guard let back = isa.leaveFunction(frame, load: { read($0, 8)?.load64(0) }) else {
      return .continue
    }
    returnValue = value
    return .redirect(back)
  }

  // MARK: Who and when

  /// The task's name.
  public var comm: String { task?.comm ?? "swapper/0" }
  /// The task's number (`gettid`; what Linux's trace lines show), 0 for the idle task.
  public var pid: Int32 { task?.tid ?? 0 }
  /// The process's number (`getpid`).
  public var tgid: Int32 { task?.process.pid ?? 0 }
  /// The hart.
  public var cpu: Int { kernel.hart.index }
  /// Nanoseconds of guest time.
  public var now: UInt64 { kernel.now }

  // MARK: Memory

  /// Bytes at a kernel address; `nil` for `EFAULT`.
  public func readKernel(_ va: UInt64, _ count: Int) -> [UInt8]? { kernel.readKernel(va, count) }
  /// Bytes of the task's own memory, paged in if need be; `nil` for `EFAULT`.
  public func readUser(_ va: UInt64, _ count: Int) -> [UInt8]? {
    guard let space = task?.space else { return nil }
    return count == 0 ? [] : try? space.read(va, count)
  }
  /// Bytes at an address of either half; `nil` for `EFAULT`.
  public func read(_ va: UInt64, _ count: Int) -> [UInt8]? {
    va < kernel.isa.userEnd ? readUser(va, count) : readKernel(va, count)
  }
  /// Writes to the task's own memory.
  ///
  /// - Returns: `false` for `EFAULT`.
  @discardableResult
  public func writeUser(_ va: UInt64, _ bytes: [UInt8]) -> Bool {
    guard let space = task?.space else { return false }
    return bytes.isEmpty || (try? space.write(va, bytes)) != nil
  }
  /// Writes to kernel memory.
  ///
  /// - Returns: `false` for `EFAULT`.
  @discardableResult
  public func writeKernel(_ va: UInt64, _ bytes: [UInt8]) -> Bool {
    kernel.writeKernel(va, bytes)
  }
}

extension ProbeContext: ProbedMemory {
  /// What the probed instruction would load.
  public func loadMemory(_ va: UInt64, _ size: Int) -> UInt64? {
    let bytes = isUser ? readUser(va, size) : read(va, size)
    return bytes.map { $0.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
  }

  /// Stores as the probed instruction would.
  public func storeMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool {
    guard correctMemory(va, size, value) else { return false }
    simulations.didStore?(va, size)
    return true
  }

  /// Stores over what the probed instruction has stored.
  public func correctMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool {
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    if isUser || va < kernel.isa.userEnd { return writeUser(va, bytes) }
    return writeKernel(va, bytes)
  }
}

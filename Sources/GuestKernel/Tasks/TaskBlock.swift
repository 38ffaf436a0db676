import Engine

/// A task's 16 KiB in guest memory: `struct task`, the kernel stack, and `struct pt_regs` at its
/// top.
///
/// The offsets come from the image's `layout_…` symbols.
public struct TaskBlock {
  /// Bytes in a block.
  public static let size: UInt64 = 16_384
  /// Physical address.
  public let pa: UInt64
  /// Where the guest kernel sees it: `struct task`.
  public let va: UInt64
  /// Where its `struct pt_regs` lies.
  public let regsVA: UInt64
  let layout: TaskLayout
  let ram: PhysicalMemory

  /// Flags in `struct task`.
  struct Flags: OptionSet {
    let rawValue: UInt64
    /// `TIF_NEED_RESCHED`.
    static let needResched = Flags(rawValue: 1)
    /// `TIF_SIGPENDING`.
    static let signalPending = Flags(rawValue: 2)
    /// `TIF_NOTIFY`.
  }

  init(pa: UInt64, va: UInt64, layout: TaskLayout, ram: PhysicalMemory) {
    self.pa = pa
    self.va = va
    self.layout = layout
    self.ram = ram
    regsVA = va &+ Self.size &- UInt64(layout.regsOnStack)
  }

  func load(_ offset: Int) -> UInt64 { ram.load(pa &+ UInt64(offset), as: UInt64.self) ?? 0 }
  func store(_ offset: Int, _ value: UInt64) { ram.store(pa &+ UInt64(offset), value) }

  /// The flags in guest memory.
  var flags: Flags {
    get { Flags(rawValue: load(layout.flags)) }
    nonmutating set { store(layout.flags, newValue.rawValue) }
  }

  /// The page-table register's value for this task.
  var root: UInt64 {
    get { load(layout.root) }
    nonmutating set { store(layout.root, newValue) }
  }

  /// The saved user frame.
  public var regs: [UInt8] {
    get { ram.bytes(pa &+ (regsVA &- va), layout.regsSize) ?? [] }
    nonmutating set { ram.write(pa &+ (regsVA &- va), newValue) }
  }

  /// One register of the saved user frame.
  func reg(_ offset: Int) -> UInt64 { load(Int(regsVA &- va) + offset) }
  /// Sets one register of the saved user frame.
  func setReg(_ offset: Int, _ value: UInt64) { store(Int(regsVA &- va) + offset, value) }

  /// What ``KernelISA/userBases(_:)`` was when the task was switched out.
  func setBases(_ bases: [UInt64]) {
    guard let offset = layout.bases else { return }
    for (index, base) in bases.enumerated() { store(offset + 8 * index, base) }
  }

  /// What the guest kernel noted of the last fault.
  var fault: [UInt64] { layout.fault.map { at in (0..<3).map { load(at + 8 * $0) } } ?? [] }

  /// The floating-point state saved when the task was switched out.
  func setFP(_ state: [UInt8]) { ram.write(pa &+ UInt64(layout.fp), state) }
}

/// Offsets in `struct task`, and sizes.
struct TaskLayout: Sendable {
  var flags, kernelSP, userSP, root, pid, threadRA, threadSP, fp: Int
  /// The user's segment bases, and three words about the last fault, where there are such.
  var bases, fault: Int?
  var regsSize: Int
  /// How far below the block's end a frame begins.
  var regsOnStack: Int

  init(image: KernelImage?, regsSize: Int) {
    func field(_ name: String, _ otherwise: Int) -> Int {
      guard let value = image?.symbol("layout_task_" + name), value < TaskBlock.size else {
        return otherwise
      }
      return Int(value)
    }
    flags = field("flags", 0)
    kernelSP = field("kernel_sp", 8)
    userSP = field("user_sp", 16)
    root = field("root", 24)
    pid = field("pid", 32)
    threadRA = field("thread_ra", 40)
    threadSP = field("thread_sp", 48)
    fp = field("fp", 160)
    func optional(_ name: String) -> Int? {
      let value = field(name, -1)
      return value < 0 || value + 24 > TaskBlock.size ? nil : value
    }
    bases = optional("bases")
    fault = optional("fault")
    if let size = image?.symbol("layout_pt_regs_size"), size < TaskBlock.size / 2 {
      self.regsSize = Int(size)
    } else {
      self.regsSize = regsSize
    }
    if let size = image?.symbol("layout_pt_regs_on_stack"), size < TaskBlock.size / 2,
      size >= UInt64(self.regsSize)
    {
      regsOnStack = Int(size)
    } else {
      regsOnStack = (self.regsSize + 15) & ~15
    }
  }
}

extension Kernel {
  /// Takes a zeroed block for a task that will first run at `start` in the kernel.
  func makeBlock(tid: Int32, start: String) throws(Errno) -> TaskBlock {
    let pa = try frames.allocate(pages: Int(TaskBlock.size / PhysicalMemory.pageSize))
    let block = TaskBlock(
      pa: pa, va: pa &- ram.base &+ isa.linearMapBase, layout: taskLayout, ram: ram)
    block.store(taskLayout.kernelSP, block.va &+ TaskBlock.size)
    block.store(taskLayout.pid, UInt64(bitPattern: Int64(tid)))
    block.store(taskLayout.threadRA, symbol(start) ?? 0)
    block.store(taskLayout.threadSP, block.regsVA)
    return block
  }

  func freeBlock(_ block: TaskBlock) {
    frames.free(block.pa, pages: Int(TaskBlock.size / PhysicalMemory.pageSize))
  }

  /// The physical address behind a kernel address: the linear map or the image.
  public func kernelAddress(_ va: UInt64, _ count: UInt64) -> UInt64? {
    let linear = va &- linearMapBase
    if va >= linearMapBase, linear < ram.size, count <= ram.size &- linear {
      return ram.base &+ linear
    }
    if let pa = image?.physical(va), ram.contains(pa, count) { return pa }
    return nil
  }

  /// The task on whose kernel stack an address lies, which is what the guest kernel calls `current`,
  /// and the address of that stack's ``TaskBlock``.
  ///
  /// ``current`` is already the next task while the guest switches.
  ///
  /// - Returns: no task for the idle task and for one that has ended; 0 for an address elsewhere.
  public func stackOwner(_ va: UInt64) -> (task: Task?, block: UInt64) {
    func holds(_ block: TaskBlock) -> Bool { va &- block.va < TaskBlock.size }
    if let current, holds(current.block) { return (current, current.block.va) }
    if let idleBlock, holds(idleBlock) { return (nil, idleBlock.va) }
    if let task = tasks.values.first(where: { holds($0.block) }) { return (task, task.block.va) }
    return (nil, deadBlocks.first(where: holds)?.va ?? 0)
  }

  /// Bytes at a kernel address.
  public func readKernel(_ va: UInt64, _ count: Int) -> [UInt8]? {
    guard count >= 0, let pa = kernelAddress(va, UInt64(count)) else { return nil }
    return ram.bytes(pa, count)
  }

  /// Writes bytes at a kernel address.
  @discardableResult
  public func writeKernel(_ va: UInt64, _ bytes: [UInt8]) -> Bool {
    guard let pa = kernelAddress(va, UInt64(bytes.count)) else { return false }
    return ram.write(pa, bytes)
  }
}

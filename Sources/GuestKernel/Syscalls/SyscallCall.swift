import Engine

/// A system call being served: who made it, with which arguments.
struct SyscallCall {
  let kernel: Kernel
  let task: Task
  let space: AddressSpace
  let arguments: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
  /// Where the saved user registers lie.
  let regs: UInt64
  /// Whether it has not blocked before.
  let isFirstTry: Bool

  /// The most bytes that one call moves (`MAX_RW_COUNT`).
  static let maxCount: UInt64 = 0x7fff_f000
  /// How many bytes are moved at a time.
  static let chunk = 65_536
  /// The longest path, with its NUL.
  static let pathMax = 4096

  var process: Process { task.process }

  subscript(index: Int) -> UInt64 {
    switch index {
    case 0: arguments.0
    case 1: arguments.1
    case 2: arguments.2
    case 3: arguments.3
    case 4: arguments.4
    default: arguments.5
    }
  }

  /// An `int` argument.
  func int(_ index: Int) -> Int32 { Int32(truncatingIfNeeded: self[index]) }
  /// An `unsigned int` argument.
  func uint(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: self[index]) }
  /// A `long` argument.
  func long(_ index: Int) -> Int64 { Int64(bitPattern: self[index]) }
  /// A count of bytes, clamped as `read` and `write` do; negative ones are refused.
  func count(_ index: Int) throws -> Int {
    guard long(index) >= 0 else { throw Errno.EINVAL }
    return Int(min(self[index], Self.maxCount))
  }

  // MARK: User memory

  func read(_ va: UInt64, _ count: Int) throws -> [UInt8] {
    try checkUser(va, UInt64(max(count, 0)))
    return try space.read(va, count)
  }

  func write(_ va: UInt64, _ bytes: [UInt8]) throws {
    try checkUser(va, UInt64(bytes.count))
    try space.write(va, bytes)
  }

  func load<T: FixedWidthInteger & BitwiseCopyable>(_ va: UInt64, as type: T.Type) throws -> T {
    try checkUser(va, UInt64(MemoryLayout<T>.size))
    return try space.load(va, as: type)
  }

  func store<T: FixedWidthInteger & BitwiseCopyable>(_ va: UInt64, _ value: T) throws {
    try checkUser(va, UInt64(MemoryLayout<T>.size))
    try space.store(va, value)
  }

  /// `access_ok`.
  func checkUser(_ va: UInt64, _ count: UInt64) throws {
    guard va <= kernel.isa.userEnd, count <= kernel.isa.userEnd &- va else { throw Errno.EFAULT }
  }

  func string(_ va: UInt64, max: Int) throws -> [UInt8] {
    try checkUser(va, 1)
    return try space.readCString(va, max: max)
  }

  /// A path argument (`getname`): `ENOENT` where it is empty and may not be.
  func path(_ index: Int, mayBeEmpty: Bool = false) throws -> [UInt8] {
    let path = try string(self[index], max: Self.pathMax)
    if path.isEmpty, !mayBeEmpty { throw Errno.ENOENT }
    return path
  }

  // MARK: Progress and sleep

  /// What the call has achieved so far.
  var progress: Progress {
    get { task.progress ?? Progress() }
    nonmutating set { task.progress = newValue }
  }

  /// The moment at which the call gives up: computed at the first try, kept for the others.
  func deadline(_ compute: () throws -> UInt64?) rethrows -> UInt64? {
    if let progress = task.progress { return progress.deadline }
    let deadline = try compute()
    task.progress = Progress(deadline: deadline)
    return deadline
  }

  /// Sleeps until a queue or the deadline wakes the task; the call is tried again then.
  func wait(
    on queues: [WaitQueue], until deadline: UInt64?, orFail errno: Errno = .ERESTARTSYS
  )
    throws -> Never
  {
    if task.hasSignal || task.mustEnd { throw errno }
    task.sleep(on: queues, until: deadline, state: .interruptible)
    throw Blocked()
  }

  /// Now plus a duration, without wrapping.
  func after(_ duration: UInt64) -> UInt64 {
    let (sum, overflow) = kernel.now.addingReportingOverflow(duration)
    return overflow ? .max : sum
  }

  // MARK: Times

  /// A `struct timespec` as nanoseconds.
  ///
  /// `EINVAL` where it is not normalised.
  func timespec(_ va: UInt64) throws -> UInt64 {
    let bytes = try read(va, 16)
    return try ABI.timespec(bytes, 0)
  }

  /// An optional relative `struct timespec`; `nil` waits for ever.
  func timeout(_ index: Int) throws -> UInt64? {
    self[index] == 0 ? nil : try timespec(self[index])
  }
}

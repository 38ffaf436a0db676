import Engine

@testable import GuestKernel

/// Names of system calls as numbers of ``TasksISA``.
let tasksNumbers: [String] = SyscallTable.rows.map(\.name)

/// An instruction set for tests of tasks: page tables as ``TestISA``'s, Linux-riscv-like frames.
struct TasksISA: KernelISA {
  private let base = TestISA()
  var machineName: String { "test64" }
  var elfMachine: UInt16 { 243 }
  var hwcap: UInt64 { 0 }
  var pageTableLevels: Int { 3 }
  var userEnd: UInt64 { 1 << 38 }
  var linearMapBase: UInt64 { 0xffff_ffd6_0000_0000 }
  func tableEntry(_ pa: UInt64) -> UInt64 { base.tableEntry(pa) }
  func leafEntry(
    _ pa: UInt64, _ protection: PageProtection, accessed: Bool, dirty: Bool
  ) -> UInt64 { base.leafEntry(pa, protection, accessed: accessed, dirty: dirty) }
  func classify(_ entry: UInt64, level: Int) -> PageEntry { base.classify(entry, level: level) }
  func rootValue(_ pa: UInt64, asid: UInt16) -> UInt64 { base.rootValue(pa, asid: asid) }
  var ptRegs: PtRegsLayout { base.ptRegs }
  func initialRegs(pc: UInt64, sp: UInt64) -> [UInt8] {
    var regs = [UInt8](repeating: 0, count: 288)
    regs.store64(0, pc)
    regs.store64(16, sp)
    return regs
  }
  func isUser(_ regs: [UInt8]) -> Bool { regs.load64(256) & 0x100 == 0 }
  var syscallInsnLength: UInt64 { 4 }
  func syscallName(_ number: Int) -> String? {
    tasksNumbers.indices.contains(number) ? tasksNumbers[number] : nil
  }
  func saveFP(_ hart: Hart) -> [UInt8] { [UInt8](repeating: 7, count: 264) }
  func restoreFP(_ state: [UInt8], _ hart: Hart) {}
  var signalPage: [UInt8] { base.signalPage }
  // siginfo 128, mask 8, stack 24, regs 288, fp 264; rounded to 16.
  var signalFrameSize: Int { 720 }
  func encodeSignalFrame(_ frame: SignalFrame) -> [UInt8] {
    var bytes = frame.siginfo
    bytes += [UInt8](repeating: 0, count: 720 - 128)
    bytes.store64(128, frame.mask)
    bytes.store64(136, frame.stack.sp)
    bytes.store64(144, UInt64(frame.stack.flags))
    bytes.store64(152, frame.stack.size)
    for (index, byte) in frame.regs.enumerated() { bytes[160 + index] = byte }
    for (index, byte) in frame.fp.enumerated() { bytes[448 + index] = byte }
    return bytes
  }
  func decodeSignalFrame(_ bytes: [UInt8], regs: [UInt8]) -> SignalFrame? {
    guard bytes.count == 720 else { return nil }
    return SignalFrame(
      regs: Array(bytes[160..<448]), fp: Array(bytes[448..<712]), mask: bytes.load64(128),
      siginfo: Array(bytes[0..<128]),
      stack: (
        sp: bytes.load64(136), flags: UInt32(truncatingIfNeeded: bytes.load64(144)),
        size: bytes.load64(152)
      ))
  }
  func enterHandler(
    _ regs: inout [UInt8], handler: UInt64, frame: UInt64, signal: Int, restorer: UInt64
  ) {
    regs.store64(0, handler)
    regs.store64(8, restorer)
    regs.store64(16, frame)
    regs.store64(80, UInt64(signal))
    regs.store64(88, frame)
  }
}

/// An instruction set that executes nothing.
final class IdleISA: GuestISA {
  func translate(_ builder: BlockBuilder, for hart: Hart) {}
  func walk(_ va: UInt64, _ access: Access, for hart: Hart) -> Translation? { nil }
  func allows(
    _ pa: UInt64, _ size: UInt64, _ va: UInt64, _ access: Access, for hart: Hart
  ) -> Bool { true }
  func accessFault(_ va: UInt64, _ access: Access, for hart: Hart) {}
  func takeException(_ hart: Hart) {}
  func takeInterrupt(_ hart: Hart) -> Bool { false }
  func wakes(_ hart: Hart) -> Bool { false }
  func restored(_ hart: Hart) {}
}

/// A clock that tests move.
final class TestClock {
  var now: UInt64 = 1000
}

/// A kernel without an image, with one process that has some memory at ``scratch``.
final class TasksBench {
  let ram: PhysicalMemory
  let frames: PageAllocator
  let host = TestHost()
  let clock = TestClock()
  let kernel: Kernel
  let task: Task
  /// 64 KiB of the program's memory.
  let scratch: UInt64 = 0x10_0000
  static let scratchSize: UInt64 = 0x10000

  init(megabytes: UInt64 = 32) throws {
    guard let ram = PhysicalMemory(base: 0x8000_0000, size: megabytes << 20) else {
      throw Errno.ENOMEM
    }
    self.ram = ram
    frames = PageAllocator(ram: ram, from: 0x8000_0000)
    let isa = TasksISA()
    let clock = clock
    let hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: IdleISA(), cacheModel: .coherent, tlbCount: 1)
    let vfs = VFS(frames: frames, host: host) { clock.now }
    kernel = Kernel(
      isa: isa, ram: ram, frames: frames, host: host, hart: hart, image: nil, vfs: vfs)
    kernel.clock = { clock.now }
    try kernel.prepareMemory()
    let process = Process(
      pid: kernel.allocatePID(), parent: nil, pgid: 1, sid: 1, exitSignal: Signal.SIGCHLD,
      started: 0)
    let space = try AddressSpace(
      frames: frames, isa: isa, kernelRoot: kernel.kernelRoot, asid: kernel.allocateASID())
    let files = try kernel.makeStandardStreams()
    task = Task(
      tid: process.pid, process: process, kernel: kernel,
      block: try kernel.makeBlock(tid: process.pid, start: "ret_from_fork"), space: space,
      files: files, fs: vfs.makeContext(), handlers: SignalHandlers(), comm: "test")
    kernel.retain(space)
    kernel.retain(files)
    process.threads = [task]
    kernel.processes[process.pid] = process
    kernel.tasks[task.tid] = task
    kernel.firstProcess = process
    _ = try space.mmap(
      scratch, Self.scratchSize, prot: rw, flags: anonymous | MM.MAP_FIXED)
    task.block.regs = isa.initialRegs(pc: 0x4000, sp: scratch + 0xf000)
    kernel.vfs.proc = kernel.proc
    kernel.enqueue(task)
    _ = kernel.gate(0, arguments: [])
  }

  /// A system call of the current task: `nil` where it blocked.
  @discardableResult
  func call(_ name: String, _ arguments: UInt64...) -> Int64? {
    guard let current = kernel.current else { return nil }
    return kernel.syscall(current, name, arguments)
  }

  /// The same by a number of signed arguments.
  @discardableResult
  func call(as task: Task, _ name: String, _ arguments: UInt64...) -> Int64? {
    kernel.syscall(task, name, arguments)
  }

  func schedule() { _ = kernel.gate(5, arguments: []) }

  /// Lets time pass and timers happen.
  func advance(_ nanoseconds: UInt64) {
    clock.now += nanoseconds
    _ = kernel.gate(6, arguments: [])
  }

  /// The `SIGNAL` gate for a task.
  func signals(_ task: Task) -> GateReply {
    kernel.gate(4, arguments: [task.block.regsVA, 2])
  }

  func fork() throws -> Task {
    guard let tid = call("fork"), tid > 0, let child = kernel.tasks[Int32(tid)] else {
      throw Errno.EAGAIN
    }
    return child
  }

  /// Makes `task` the running one.
  func run(_ task: Task) {
    for _ in 0..<64 where kernel.current !== task { schedule() }
  }

  /// Ends the current task as the guest does.
  func exit(_ code: Int32) {
    let status = UInt64(UInt32(bitPattern: (code & 0xff) << 8))
    call("exit_group", UInt64(UInt32(bitPattern: code)))
    _ = kernel.gate(9, arguments: [status])
    schedule()
  }

  func put<T: FixedWidthInteger & BitwiseCopyable>(_ offset: UInt64, _ value: T) throws {
    try task.space?.store(scratch + offset, value)
  }

  func get<T: FixedWidthInteger & BitwiseCopyable>(_ offset: UInt64, _ type: T.Type) throws -> T {
    guard let space = kernel.current?.space else { throw Errno.EFAULT }
    return try space.load(scratch + offset, as: type)
  }
}

/// A negative error number, as system calls return it.
func failed(_ errno: Errno) -> Int64 { -Int64(errno.rawValue) }

import Testing

@testable import Engine
@testable import X86

/// Task switches where the image `tasks` does not go.
///
/// - SeeAlso: Intel SDM volume 3, 'Task Switching'.
@Suite struct TaskTests {
  private static let first: UInt64 = 0xa000, second: UInt64 = 0xa100
  /// Where the second task begins.
  private static let entry: UInt64 = 0x12_0000

  private final class Bench: ProtectedBench {
    init?(engine: BackEnd = .standard, narrow: Bool = false) {
      super.init(
        engine: engine,
        descriptors: [
          // 0x18: the first task; 0x20: the second.
          0x0000_8900_a000_0067, narrow ? 0x0000_8100_a100_002b : 0x0000_8900_a100_0067,
          // 0x28: code of 256 bytes at 0x120000; 0x30: a stack of 16 bytes at 0x30000.
          0x0040_9b12_0000_00ff, 0x0040_9303_0000_000f,
        ])
      do { try isa.loadTask(0x18, hart) } catch { return nil }
      guard !narrow else { return }
      put(0x20, UInt32(TaskTests.entry))
      put(0x24, 2)
      put(0x38, 0x28_0000)
      for (offset, selector) in [(0x48, 0x10), (0x4c, 8), (0x50, 0x10), (0x54, 0x10)] {
        put(UInt64(offset), UInt32(selector))
      }
      put(0x64, 0x68 << 16)
    }

    /// A field of the second task.
    func put(_ offset: UInt64, _ value: UInt32) { ram.store(TaskTests.second + offset, value) }

    /// LJMP, or LCALL, to the second task.
    @discardableResult
    func go(call: Bool) -> HartStop { run([call ? 0x9a : 0xea, 0, 0, 0, 0, 0x20, 0]) }

    var sp: UInt64 { self[4] }
  }

  /// A task that asks for it traps before its first instruction; breakpoints of the task before are off.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Task-Switch Exception Condition' and 'Debug Control Register (DR7)'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func debugging(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine))
    bench.put(0x64, 0x68 << 16 | 1)
    bench.isa.writeDebug(SystemSlot.debugControl, 0x7ff, bench.hart)
    // Nothing is at address 0 that these could be for.
    bench.go(call: false)
    #expect(bench.fault(4) == [1, Self.entry, 8, 2, 0])
    #expect(bench.x[SystemSlot.debugStatus] == 0xffff_8ff0)
    #expect(bench.x[SystemSlot.debugControl] == 0x6aa)
    // IRET leads to its first instruction.
    bench.ram.write(bench.hart.pc, [0xcf])
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.hart.pc == Self.entry)
  }

  /// A step ends neither the switch nor what is behind it, unless the new task steps.
  @Test(arguments: [false, true])
  func stepping(newTask: Bool) throws {
    let bench = try #require(Bench())
    RFlags.write(bench.x, newTask ? 2 : 0x102)
    X64.modeChanged(bench.hart)
    bench.put(0x24, newTask ? 0x102 : 2)
    bench.ram.write(Self.entry, [0x90, 0x90])
    bench.go(call: false)
    #expect(bench.hart.pc == Self.entry)
    #expect(bench.word(Self.first + 0x24) == (newTask ? 2 : 0x102))
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.fault(4) == (newTask ? [1, Self.entry + 1, 8, 0x102, 0] : []))
  }

  /// Its first instruction must lie in its code segment; if not, it is the new task that faults.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func limits(engine: BackEnd) throws {
    for (pc, fault) in [(0xff, []), (0x100, [13, 0, 0x100, 0x28, 2])] as [(UInt32, [UInt64])] {
      let bench = try #require(Bench(engine: engine))
      bench.put(0x4c, 0x28)
      bench.put(0x20, pc)
      bench.go(call: false)
      #expect(bench.fault(4) == fault)
      #expect(bench.x[SystemSlot.taskSelector] == 0x20)
      #expect(bench.word(Self.first + 0x20) == UInt32(Bench.code) + 7)
      if fault.isEmpty { #expect(bench.hart.pc == Self.entry + 0xff) }
    }
  }

  /// What can't be switched to leaves all as it was.
  @Test func nothingIsSaved() throws {
    let bench = try #require(Bench())
    bench.ram.store(Bench.gdt + 0x20, UInt16(0x66))
    bench.go(call: false)
    #expect(bench.fault(4) == [10, 0x20, Bench.code, 8, 0x1_0002])
    #expect(bench.x[SystemSlot.taskSelector] == 0x18)
    #expect(bench.word(Self.first + 0x20) == 0)
    #expect(bench.ram.load(Bench.gdt + 0x1d, as: UInt8.self) == 0x8b)
    #expect(bench.x[SystemSlot.cr0] & CR0.taskSwitched == 0)
  }

  /// An error code goes to the new task's stack, in words of the new task.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Interrupt Tasks'.
  @Test(arguments: [false, true])
  func errorCodes(narrow: Bool) throws {
    let bench = try #require(Bench(narrow: narrow))
    if narrow {
      for (offset, value) in [
        (0x0e, 0x40), (0x10, 2), (0x1a, 0x8000), (0x22, 0x10), (0x24, 0x28), (0x26, 0x10),
        (0x28, 0x10),
      ] as [(UInt64, UInt16)] {
        bench.ram.store(Self.second + offset, value)
      }
    }
    bench.ram.store(Bench.idt + 13 * 8, UInt64(0x0000_8500_0020_0000))
    // mov es,eax
    bench.x[Registers.slot(0)] = 0x1234
    bench.ram.write(Bench.code, [0x8e, 0xc0])
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.x[SystemSlot.taskSelector] == 0x20)
    #expect(bench.hart.pc == (narrow ? Self.entry + 0x40 : Self.entry))
    #expect(bench.sp == (narrow ? 0x7ffe : 0x27_fffc))
    let at: UInt64 = narrow ? 0x7ffe : bench.sp
    #expect(bench.word(at) & (narrow ? 0xffff : .max) == 0x1234)
    // RF is saved, and the instruction that faulted.
    #expect(bench.word(Self.first + 0x20) == UInt32(Bench.code))
    #expect(bench.word(Self.first + 0x24) == 0x1_0002)
    #expect(RFlags.read(bench.x) & RFlags.nested != 0)
    #expect(bench.word(Self.second) & 0xffff == 0x18)
    // There is no room for it: #SS in the new task, on the same stack.
    guard !narrow else { return }
    let full = try #require(Bench())
    full.put(0x50, 0x30)
    full.put(0x38, 3)
    full.ram.store(Bench.idt + 13 * 8, UInt64(0x0000_8500_0020_0000))
    full.x[Registers.slot(0)] = 0x1234
    full.ram.write(Bench.code, [0x8e, 0xc0])
    _ = full.hart.run(until: full.hart.count + 1)
    #expect(full.isa.isShutDown(full.hart))
  }

  /// Each task has its address space.
  @Test func roots() throws {
    let bench = try #require(Bench())
    // 4 MiB pages: the first directory has the first one where it is, the second too and another.
    for root in [0x1000, 0x2000] as [UInt64] { bench.ram.store(root, UInt32(0x83)) }
    bench.ram.store(0x2004, UInt32(0x83))
    bench.put(0x1c, 0x2000)
    bench.x[SystemSlot.cr4] = CR4.pageSize
    bench.x[SystemSlot.cr3] = 0x1000
    #expect(bench.isa.writeCR0(bench.x[SystemSlot.cr0] | CR0.paging, bench.hart))
    // mov eax,[0x400000 + entry]
    bench.ram.write(Self.entry, [0xa1, 0, 0, 0x52, 0])
    bench.go(call: false)
    #expect(bench.x[SystemSlot.cr3] == 0x2000)
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.x[Registers.slot(0)] == 0x5200_00a1)
  }
}

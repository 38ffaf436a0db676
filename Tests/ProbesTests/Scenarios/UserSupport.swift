import Engine
import Image
import Machine
import Testing
import X86

@testable import GuestKernel
@testable import Probes

/// The scenes' program, which does the steps of a string, and the file /lib that it maps.
///
/// `Programs/scenes.c` says what the steps are.
final class Scene {
  let rig: Rig
  let guest: ProgramArchitecture
  let facts: GuestFacts

  init(
    _ guest: ProgramArchitecture, _ steps: String, _ legacy: LegacyPolicies = [],
    caches: CacheModel = .coherent
  ) throws {
    self.guest = guest
    facts = GuestFacts.of(guest)
    rig = try Rig("scenes.elf", [steps], cacheModel: caches, guest: guest)
    try rig.machine.kernel.vfs.installProgram("/lib", HostBytes(facts.library))
    rig.probes.legacy = legacy
  }

  var probes: ProbeSubsystem { rig.probes }
  var kernel: Kernel { rig.machine.kernel }
  var program: ProbedFile { .path(rig.path) }
  let lib = ProbedFile.path("/lib")
  /// The first program's task.
  var first: Task? { kernel.firstProcess?.leader }
  var space: AddressSpace? { first?.space }

  /// Where in memory a symbol is.
  func address(_ symbol: String) throws -> UInt64 {
    guard let found = try ELFFile(rig.elf).symbols.symbol(symbol) else { throw Missing() }
    return found.address
  }

  /// What the program prints, a value a line.
  static func values(_ text: String) -> [Int] { text.split(separator: "\n").compactMap { Int($0) } }
  var values: [Int] { Self.values(rig.host.text) }

  @discardableResult
  func run(_ limit: UInt64 = 40_000_000) -> ProgramExit { rig.run(limit: limit) }

  /// Runs to the end; the program has to end well.
  func finish(_ expected: [Int], at location: SourceLocation = #_sourceLocation) {
    #expect(run() == .ended(.exited(0)), sourceLocation: location)
    #expect(values == expected, sourceLocation: location)
  }

  /// A probe that counts.
  @discardableResult
  func probe(
    _ symbol: String, _ entry: @escaping (ProbeContext) -> ProbeAction = { _ in .continue }
  ) throws -> Uprobe {
    try probes.registerUprobe(
      UprobeRequest(program, offset: rig.offset(symbol), entry: entry))
  }

  /// A return probe.
  @discardableResult
  func returns(
    _ symbol: String, _ ret: @escaping (ProbeContext) -> Void = { _ in }
  ) throws -> Uprobe {
    try probes.registerUretprobe(program, offset: rig.offset(symbol), ret: ret)
  }

  /// A probe in /lib that counts.
  @discardableResult
  func probeLibrary(
    _ offset: UInt64 = 0x1040, _ change: (inout UprobeRequest) -> Void = { _ in }
  ) throws -> Uprobe {
    var request = UprobeRequest(lib, offset: offset, entry: { _ in .continue })
    change(&request)
    return try probes.registerUprobe(request)
  }

  /// Runs until the hart is about to execute an instruction for which `isThere` holds.
  func run(until isThere: (UInt64) -> Bool, limit: Int = 200_000) throws {
    for _ in 0..<limit {
      if isThere(rig.machine.hart.pc) { return }
      guard run(rig.machine.hart.count + 1) == .limit else { throw Missing() }
    }
    throw Missing()
  }

  /// Steps the hart once.
  func step() { run(rig.machine.hart.count + 1) }

  /// The pages of `[uprobes]` of the first program.
  var area: Range<UInt64>? {
    space?.vmas.first { $0.name == "[uprobes]" }.map { $0.start..<$0.end }
  }

  /// Bytes of the first program's memory as they are.
  func text(_ va: UInt64, _ count: Int) -> [UInt8] {
    (try? space?.readForced(va, count)) ?? []
  }

  /// Whether there is a break at an address of the first program.
  func isArmed(_ va: UInt64) -> Bool { text(va, facts.brk.count) == facts.brk }

  /// Where the function that the hart is about to begin, or has begun without a frame, returns to.
  var caller: UInt64? {
    let x = rig.machine.hart.x
    return switch guest {
    case .riscv64: x[1]
    case .x86_64: text(x[Registers.slot(4)], 8).load64(0)
    }
  }

  /// The bytes of a function.
  func size(of function: String) throws -> UInt64 {
    guard let found = try ELFFile(rig.elf).symbols.symbol(function) else { throw Missing() }
    return found.size
  }

  /// The offsets in the program's file at which a function's instructions begin.
  func places(of function: String) throws -> [UInt64] {
    var at = try rig.offset(function)
    let end = at + (try size(of: function))
    var all: [UInt64] = []
    while at < end {
      all.append(at)
      let isa = probes.isa
      guard let length = isa.length(Array(rig.elf[Int(at)...].prefix(isa.maxInsnLength))) else {
        throw Missing()
      }
      at += UInt64(length)
    }
    guard at == end, all.count > 1 else { throw Missing() }
    return all
  }

  /// The inode of /lib.
  var inode: Inode? {
    try? kernel.vfs.resolve("/lib", kernel.vfs.makeContext()).inode
  }

  /// Where the first program has a byte of /lib mapped.
  func mapped(_ offset: UInt64, executable: Bool = true) -> UInt64? {
    guard let inode else { return nil }
    for vma in space?.vmas ?? [] where vma.file?.inode === inode {
      if executable, vma.prot & MM.PROT_EXEC == 0 { continue }
      let first = vma.pageOffset << 12
      if offset >= first, offset &- first < vma.count { return vma.start + offset - first }
    }
    return nil
  }
}

extension ProbeContext {
  /// Has another task run before this one goes on.
  func yield() { task?.block.flags.insert(.needResched) }

  /// Sends a signal to the task.
  func raise(_ signal: Int32, group: Bool = false) {
    if let task { kernel.send(.kernel(signal), to: task, group: group) }
  }

  /// Where the function that begins here returns to.
  var caller: UInt64? {
    isa.returnAddress(UnsafeRawPointer(frame), load: { self.read($0, 8)?.load64(0) })
  }

  /// At a return: has the program call a function with an argument, which returns to `back`.
  func call(_ function: UInt64, _ argument: UInt64, returningTo back: UInt64) {
    setArgument(1, argument)
    // A return has taken the word off the stack where there is one.
    if isa.returnAddress(UnsafeRawPointer(frame), load: { _ in nil }) == nil { sp &-= 8 }
    _ = isa.setReturnAddress(frame, back) { self.correctMemory($0, 8, $1) }
    pc = function
  }

  /// Whether an address is in the process's slots.
  func isSlot(_ va: UInt64) -> Bool {
    task?.space?.vma(at: va)?.name == "[uprobes]"
  }
}

/// What a registration is refused with; `nil` where it is not.
func refusal(_ body: () throws -> Void) -> Errno? {
  do {
    try body()
    return nil
  } catch {
    return (error as? ProbeError)?.errno ?? .EIO
  }
}

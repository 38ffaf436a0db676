import Engine
import Image
import Machine
import RISCV
import Testing

@testable import GuestKernel
@testable import Probes

/// `scenes.elf`, which does the steps of a string, and the file /lib that it maps.
///
/// `Programs/scenes.c` says what the steps are.
final class Scene {
  let rig: Rig
  /// The file /lib: at 0x1040 `xori a0, a0, 85`, at 0x2040 `addi a0, a0, 1`, both followed by `ret`;
  /// its fourth page is data.
  static let library: [UInt8] = {
    var bytes = [UInt8](repeating: 0, count: 4 * 4096)
    bytes.replaceSubrange(0x1040..<0x1046, with: [0x13, 0x45, 0x55, 0x05, 0x82, 0x80])
    bytes.replaceSubrange(0x2040..<0x2046, with: [0x13, 0x05, 0x15, 0x00, 0x82, 0x80])
    return bytes
  }()

  init(
    _ steps: String, _ legacy: LegacyPolicies = [], caches: CacheModel = .coherent
  ) throws {
    rig = try Rig("scenes.elf", [steps], cacheModel: caches)
    try rig.machine.kernel.vfs.installProgram("/lib", HostBytes(Self.library))
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
  func text(_ va: UInt64, _ count: Int = 2) -> [UInt8] {
    (try? space?.readForced(va, count)) ?? []
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

  /// Whether an address is in the process's slots.
  func isSlot(_ va: UInt64) -> Bool {
    task?.space?.vma(at: va)?.name == "[uprobes]"
  }
}

/// `c.ebreak`.
let shortBreak: [UInt8] = [0x02, 0x90]

/// What a registration is refused with; `nil` where it is not.
func refusal(_ body: () throws -> Void) -> Errno? {
  do {
    try body()
    return nil
  } catch {
    return (error as? ProbeError)?.errno ?? .EIO
  }
}

import Engine

@testable import GuestKernel

/// A small Sv39-like instruction set: V R W X U G A D in bits 0 to 7, frame number from bit 10 on.
struct TestISA: KernelISA {
  var machineName: String { "test64" }
  var elfMachine: UInt16 { 243 }
  var hwcap: UInt64 { 0x112d }
  var pageTableLevels: Int { 3 }
  var userEnd: UInt64 { 1 << 38 }
  var linearMapBase: UInt64 { 0xffff_ffd6_0000_0000 }

  func tableEntry(_ pa: UInt64) -> UInt64 { (pa >> 12) << 10 | 1 }
  func leafEntry(
    _ pa: UInt64, _ protection: PageProtection, accessed: Bool, dirty: Bool
  ) -> UInt64 {
    var entry = (pa >> 12) << 10 | 1
    if protection.contains(.read) { entry |= 2 }
    if protection.contains(.write) { entry |= 6 }
    if protection.contains(.execute) { entry |= 8 }
    if protection.contains(.user) { entry |= 16 }
    if protection.contains(.global) { entry |= 32 }
    if accessed { entry |= 64 }
    if dirty { entry |= 128 }
    return entry
  }
  func classify(_ entry: UInt64, level: Int) -> PageEntry {
    guard entry & 1 != 0 else { return .empty }
    let pa = (entry >> 10) << 12
    if entry & 14 == 0 { return .table(pa) }
    // A large page begins where large pages begin.
    if level > 0, pa & ((1 << UInt64(12 + 9 * level)) - 1) != 0 { return .empty }
    var protection: PageProtection = []
    if entry & 2 != 0 { protection.insert(.read) }
    if entry & 4 != 0 { protection.insert(.write) }
    if entry & 8 != 0 { protection.insert(.execute) }
    if entry & 16 != 0 { protection.insert(.user) }
    if entry & 32 != 0 { protection.insert(.global) }
    return .leaf(
      pa: pa, protection: protection, accessed: entry & 64 != 0, dirty: entry & 128 != 0)
  }
  func rootValue(_ pa: UInt64, asid: UInt16) -> UInt64 { 8 << 60 | UInt64(asid) << 44 | pa >> 12 }

  var ptRegs: PtRegsLayout {
    PtRegsLayout(
      size: 288, pc: 0, sp: 16, tp: 32, syscallNumber: 136,
      arguments: [80, 88, 96, 104, 112, 120], result: 80, originalArgument0: 280)
  }
  func initialRegs(pc: UInt64, sp: UInt64) -> [UInt8] { [] }
  func isUser(_ regs: [UInt8]) -> Bool { true }
  var syscallInsnLength: UInt64 { 4 }
  func syscallName(_ number: Int) -> String? { nil }
  func saveFP(_ hart: Hart) -> [UInt8] { [] }
  func restoreFP(_ state: [UInt8], _ hart: Hart) {}
  var signalPage: [UInt8] { [0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0] }
  func encodeSignalFrame(_ frame: SignalFrame) -> [UInt8] { [] }
  var signalFrameSize: Int { 0 }
  func decodeSignalFrame(_ bytes: [UInt8], regs: [UInt8]) -> SignalFrame? { nil }
  func enterHandler(
    _ regs: inout [UInt8], handler: UInt64, frame: UInt64, signal: Int, restorer: UInt64
  ) {}
}

/// A host that knows nothing.
final class TestHost: HostServices {
  func consoleRead(_ count: Int) -> ConsoleInput { .end }
  func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? { nil }
  func randomBytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) } }
  var startOfRun: UInt64 { 0 }
  func hostStat(_ path: String) -> HostNode? { nil }
  func hostList(_ path: String) -> [String]? { nil }
  func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? { nil }
}

let page: UInt64 = 4096
let rw = MM.PROT_READ | MM.PROT_WRITE
let anonymous = MM.MAP_PRIVATE | MM.MAP_ANONYMOUS
let sharedAnonymous = MM.MAP_SHARED | MM.MAP_ANONYMOUS

/// RAM, frames, a kernel root, and one address space.
final class Bench {
  let isa = TestISA()
  let ram: PhysicalMemory
  let frames: PageAllocator
  let kernelRoot: UInt64
  let space: AddressSpace
  let host = TestHost()
  /// Frames in use before the address space was made.
  let before: Int

  init(megabytes: UInt64 = 16) throws {
    guard let ram = PhysicalMemory(base: 0x8000_0000, size: megabytes << 20) else {
      throw Errno.ENOMEM
    }
    self.ram = ram
    frames = PageAllocator(ram: ram, from: 0x8000_0000)
    kernelRoot = try frames.allocate()
    // The upper half: one entry that must turn up in every root.
    ram.store(kernelRoot + 8 * 511, isa.tableEntry(0x8000_0000))
    _ = try frames.zeroFrame()
    before = frames.used
    space = try AddressSpace(frames: frames, isa: isa, kernelRoot: kernelRoot, asid: 1)
  }

  func map(
    _ length: UInt64, at: UInt64 = 0, prot: Int32 = rw, flags: Int32 = anonymous,
    file: OpenFile? = nil, offset: UInt64 = 0
  ) throws -> UInt64 {
    try space.mmap(at, length, prot: prot, flags: flags, file: file, offset: offset)
  }

  /// The mappings as `start-end prot`, in pages from `base`.
  func shape(_ base: UInt64) -> [String] {
    space.vmas.map {
      "\(($0.start &- base) / page)-\(($0.end &- base) / page) \($0.prot)"
    }
  }
}

/// The error that a call fails with.
func errno(_ body: () throws -> Void) -> Errno? {
  do {
    try body()
    return nil
  } catch {
    return error as? Errno
  }
}

/// A file whose pages are made when they are asked for.
final class TestFile: Inode {
  let frames: PageAllocator
  var bytes: [UInt8]
  var pages: [UInt64: UInt64] = [:]
  var written: Set<UInt64> = []
  var length: UInt64
  override var size: UInt64 { length }
  override var isMappable: Bool { true }

  init(_ bytes: [UInt8], frames: PageAllocator) {
    self.frames = frames
    self.bytes = bytes
    length = UInt64(bytes.count)
    let system = FileSystem(
      device: DeviceNumber(8, 17), typeName: "test", magic: 1, frames: frames, now: { 0 })
    super.init(system, FileMode(.regular, 0o755))
  }
  package required init(placeholderFor archive: Archive) {
    preconditionFailure("no test of memory restores anything")
  }
  deinit { for pa in pages.values { frames.release(pa) } }

  override func page(_ index: UInt64, forWrite write: Bool) throws(Errno) -> UInt64 {
    if write { written.insert(index) }
    if let pa = pages[index] { return pa }
    let pa = try frames.allocate()
    let start = Int(index) * 4096
    if start < bytes.count {
      frames.ram.write(pa, Array(bytes[start..<min(start + 4096, bytes.count)]))
    }
    pages[index] = pa
    return pa
  }
  override func read(
    at offset: UInt64, _ count: Int, _ file: OpenFile? = nil
  ) throws(Errno) -> [UInt8] {
    guard offset < size, count > 0 else { return [] }
    let start = Int(offset)
    return Array(bytes[start..<min(start + count, bytes.count)])
  }
}

/// `O_RDONLY`, `O_WRONLY`, `O_RDWR`.
enum Open: Int32 { case reading, writing, both }

extension Bench {
  func file(
    _ bytes: [UInt8], _ open: Open = .reading
  ) throws(Errno) -> (open: OpenFile, inode: TestFile) {
    let inode = TestFile(bytes, frames: frames)
    let dentry = Dentry(inode, name: "file", parent: nil)
    return (try OpenFile(dentry, OpenFlags(rawValue: open.rawValue)), inode)
  }
}

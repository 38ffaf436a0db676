import Engine
import Testing

@testable import GuestKernel

/// A host without surprises: a console of two arrays and a tree of literals.
final class FakeHost: HostServices {
  var input: [ConsoleInput] = []
  var output: [Int: [UInt8]] = [:]
  var refusal: Errno?
  var nodes: [String: HostNode] = [:]
  var contents: [String: [UInt8]] = [:]
  var reads = 0

  func consoleRead(_ count: Int) -> ConsoleInput {
    input.isEmpty ? .notYet : input.removeFirst()
  }
  func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
    output[stream, default: []] += bytes
    return refusal
  }
  func randomBytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x5a, count: count) }
  var startOfRun: UInt64 { 1_000_000_000 }
  func hostStat(_ path: String) -> HostNode? { nodes[path] }
  func hostList(_ path: String) -> [String]? {
    let prefix = path == "/" ? "/" : path + "/"
    return nodes.keys.filter { $0.hasPrefix(prefix) && $0 != "/" }
      .map { String($0.dropFirst(prefix.count)) }.filter { !$0.contains("/") }.sorted()
  }
  func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
    reads += 1
    return contents[path].map { Array($0.dropFirst(Int(clamping: offset)).prefix(count)) }
  }

  func add(_ path: String, _ kind: HostNode.Kind, _ bytes: [UInt8] = []) {
    nodes[path] = HostNode(
      kind: kind, permissions: 0o755, size: UInt64(bytes.count), modified: 7,
      inode: UInt64(nodes.count))
    contents[path] = bytes
  }
}

/// 64 KiB of a program's memory from address 0x1000 on; everything else faults.
final class FakeMemory: UserMemory {
  static let start: UInt64 = 0x1000
  var bytes = [UInt8](repeating: 0, count: 0x10000)

  private func offset(_ va: UInt64, _ count: Int) throws(Errno) -> Int {
    let offset = va &- Self.start
    guard offset <= UInt64(bytes.count), count <= bytes.count - Int(offset) else { throw .EFAULT }
    return Int(offset)
  }
  func read(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8] {
    let from = try offset(va, count)
    return Array(bytes[from..<from + count])
  }
  func write(_ va: UInt64, _ new: [UInt8]) throws(Errno) {
    let from = try offset(va, new.count)
    bytes.replaceSubrange(from..<from + new.count, with: new)
  }
  func int32(_ va: UInt64) throws -> Int32 {
    try read(va, 4).withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
  }
}

/// A tree, a context at its root, a host and frames.
final class World {
  let host = FakeHost()
  let ram: PhysicalMemory
  let frames: PageAllocator
  let vfs: VFS
  let context: FileSystemContext
  let memory = FakeMemory()
  let clock = Clock()

  final class Clock { var now: UInt64 = 1000 }
  final class Woken: Waiter {
    var count = 0
    func wake() { count += 1 }
  }

  init(
    pages: UInt64 = 256, options: VFS.Options = .init(), _ prepare: (FakeHost) -> Void = { _ in }
  ) throws {
    prepare(host)
    ram = try #require(PhysicalMemory(base: 0x8000_0000, size: pages * 4096))
    frames = PageAllocator(ram: ram, from: 0x8000_0000)
    let clock = clock
    vfs = VFS(frames: frames, host: host, options: options) { clock.now }
    context = vfs.makeContext()
  }

  func open(_ path: Path, _ flags: OpenFlags = [], mode: UInt32 = 0o644) throws -> OpenFile {
    try vfs.open(path, flags, mode: mode, context)
  }
  @discardableResult
  func write(_ path: Path, _ text: String) throws -> OpenFile {
    let file = try open(path, [.create, .readWrite, .truncate])
    _ = try file.write(Array(text.utf8))
    return file
  }
  func text(_ path: Path) throws -> String {
    String(decoding: try open(path).read(100_000), as: UTF8.self)
  }
  func attributes(_ path: Path, _ flags: LookupFlags = .follow) throws -> FileAttributes {
    try vfs.resolve(path, context, flags: flags).inode.attributes()
  }
  func mkdir(_ path: Path) throws { try vfs.makeDirectory(path, mode: 0o755, context) }
  func symlink(_ target: Path, _ path: Path) throws {
    try vfs.makeSymlink(target, path, context)
  }
  /// Names in a directory, without `.` and `..`.
  func names(_ path: Path) throws -> [String] {
    try records(try open(path, .directory).readDirectory(65536)).map(\.name)
      .filter { $0 != "." && $0 != ".." }
  }

  struct Record: Equatable {
    var inode: UInt64
    var next: Int64
    var type: UInt8
    var name: String
  }
  func records(_ bytes: [UInt8]) throws -> [Record] {
    var found: [Record] = []
    var at = 0
    while at < bytes.count {
      let length = Int(bytes[at + 16]) | Int(bytes[at + 17]) << 8
      try #require(length >= 24 && length % 8 == 0 && at + length <= bytes.count)
      let name = bytes[(at + 19)..<(at + length)].prefix { $0 != 0 }
      found.append(
        Record(
          inode: bytes.load64(at), next: Int64(bitPattern: bytes.load64(at + 8)),
          type: bytes[at + 18], name: String(decoding: name, as: UTF8.self)))
      at += length
    }
    return found
  }
}

/// The errno that an operation fails with, `nil` where it succeeds.
func errno<T>(_ body: () throws -> T) -> Errno? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? Errno
  }
}

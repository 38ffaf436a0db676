import Engine

/// A file of the host that is shown to the guest without copying it first.
public struct HostBytes {
  /// Bytes.
  public var size: UInt64
  /// Permission bits.
  public var permissions: UInt32
  /// Nanoseconds since 1970.
  public var modified: UInt64
  /// Up to `count` bytes from an offset on; `nil` on a read error.
  public var read: (_ offset: UInt64, _ count: Int) -> [UInt8]?
  /// A file of the given parts.
  public init(
    size: UInt64, permissions: UInt32 = 0o755, modified: UInt64 = 0,
    read: @escaping (UInt64, Int) -> [UInt8]?
  ) {
    self.size = size
    self.permissions = permissions
    self.modified = modified
    self.read = read
  }
  /// A file of the given bytes.
  public init(_ bytes: [UInt8], permissions: UInt32 = 0o755, modified: UInt64 = 0) {
    self.init(size: UInt64(bytes.count), permissions: permissions, modified: modified) {
      offset, count in
      guard offset < UInt64(bytes.count) else { return [] }
      return Array(bytes[Int(offset)...].prefix(count))
    }
  }
}

/// Where the bytes of a host's file come from: what a snapshot can say of them.
enum HostOrigin: Equatable {
  /// The host's file of that path.
  case path(String)
  /// The program that was installed as the n-th (``VFS/installProgram(_:_:)``).
  case installed(Int)

  /// How the bytes are read on the machine that a snapshot is restored on.
  fileprivate func find(_ a: Archive) -> HostBytes? {
    let vfs = a.kernel.vfs
    switch self {
    case .installed(let index):
      return vfs.installed.indices.contains(index) ? vfs.installed[index] : nil
    case .path(let path):
      return HostBytes(size: 0) { [weak host = a.kernel.host] offset, count in
        host?.hostRead(path, offset: offset, count: count)
      }
    }
  }

  func reader(of bytes: HostBytes, _ a: Archive) -> (UInt64, Int) -> [UInt8]? {
    guard let found = find(a) else {
      a.fail("this machine has no installed program \(self)")
      return { _, _ in nil }
    }
    if case .installed(let index) = self, found.size != bytes.size {
      a.fail(
        "installed program \(index) has \(found.size) bytes here, \(bytes.size) in the snapshot")
    }
    return found.read
  }
}

extension HostOrigin: Archived {
  package static func placeholder(_ a: Archive) -> HostOrigin { .path("") }
  package mutating func archive(_ a: Archive) {
    var text = ""
    var index = 0
    var kind: UInt8 = 0
    switch self {
    case .path(let path): text = path
    case .installed(let place): (kind, index) = (1, place)
    }
    kind = a.choice(kind, below: 2)
    a("", &text)
    a("", &index)
    self = kind == 0 ? .path(text) : .installed(index)
  }
}

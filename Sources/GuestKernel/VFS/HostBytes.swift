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

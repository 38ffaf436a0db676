/// A mounted file system: what its inodes share (`struct super_block`).
public final class FileSystem {
  /// The device number that `stat` shows.
  public let device: DeviceNumber
  /// What `/proc/mounts` calls it.
  public let typeName: String
  /// `f_type` of `statfs`.
  public let magic: UInt64
  /// Whether nothing can be changed.
  public let isReadOnly: Bool
  /// Frames for the page cache.
  public let frames: PageAllocator
  /// Nanoseconds since 1970, now.
  public let now: () -> UInt64

  var lastInode: UInt64 = 0
  /// Bytes of the pages that its files hold.
  var cachedPages = 0

  /// A file system without files.
  public init(
    device: DeviceNumber, typeName: String, magic: UInt64, isReadOnly: Bool = false,
    frames: PageAllocator, now: @escaping () -> UInt64
  ) {
    self.device = device
    self.typeName = typeName
    self.magic = magic
    self.isReadOnly = isReadOnly
    self.frames = frames
    self.now = now
  }

  /// A new inode number.
  func nextInode() -> UInt64 {
    lastInode &+= 1
    return lastInode
  }

  /// The time, as inodes keep it.
  var time: Int64 { Int64(clamping: now()) }
}

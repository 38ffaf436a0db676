// A stand-in until branch `vfs` is merged: delete this file then.

public class Inode {
  public var size: UInt64 = 0
  init() {}
  public func page(_ index: UInt64, for write: Bool) throws(Errno) -> UInt64 { throw .EIO }
  public func read(at offset: UInt64, _ count: Int) throws(Errno) -> [UInt8] { throw .EIO }
}

public final class OpenFile {
  public let inode: Inode
  public var flags: Int32
  init(inode: Inode, flags: Int32) {
    self.inode = inode
    self.flags = flags
  }
}

public protocol UserMemory: AnyObject {
  func read(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8]
  func write(_ va: UInt64, _ bytes: [UInt8]) throws(Errno)
}

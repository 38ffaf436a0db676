// A stand-in until branch `vfs` is merged: delete this file then.

public class Inode {
  public var size: UInt64 = 0
  public func page(_ index: UInt64, for write: Bool) throws(Errno) -> UInt64 { throw .EIO }
  public func read(at offset: UInt64, _ count: Int) throws(Errno) -> [UInt8] { throw .EIO }
}

public final class OpenFile {
  public let inode: Inode
  init(inode: Inode) { self.inode = inode }
  public func pread(_ count: Int, at offset: UInt64) throws(Errno) -> [UInt8] { throw .EIO }
}

public protocol UserMemory {
  func read(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8]
  func write(_ va: UInt64, _ bytes: [UInt8]) throws(Errno)
}
extension Inode {
  func addMapping(_ s: AddressSpace) {}
  func removeMapping(_ s: AddressSpace) {}
}
extension OpenFile {
  var isReadable: Bool { true }
  var isWritable: Bool { true }
  var isMappable: Bool { true }
  var mapsZeroes: Bool { false }
}
extension Inode {
  var mapsDevice: (major: UInt32, minor: UInt32) { (0, 0) }
  var mapsNumber: UInt64 { 0 }
}
extension OpenFile { var mapsName: String { "" } }

import UnionFSCommand

runUnionFSSwift()
